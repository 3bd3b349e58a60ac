#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-only
#
# Holds JSON against docs/json-schema.  Of JSON Schema it knows what is used
# there: type, required, properties, additionalProperties, items, enum, const;
# any other word is refused.  Stricter than a schema is for a reader: a key that
# it does not name is a fault, for then a document lags behind.
#
# json_schema.pl keys SCHEMA...         every key that is promised, as a path
# json_schema.pl check SCHEMA [FILE]    one object; a line for each fault, and
#                                       on standard error each key that is there
# json_schema.pl golden DIR FILE...     all objects in transcripts, as check
use strict;
use warnings;
use JSON::PP;

my $json = JSON::PP->new->utf8;
my (%seen, $bad);

sub slurp {
    my ($file) = @_;
    local $/;
    open my $f, '<', $file or die "$file: $!\n";
    return <$f>;
}

sub type_of {
    my ($v) = @_;
    return 'null' if !defined $v;
    return 'object' if ref $v eq 'HASH';
    return 'array' if ref $v eq 'ARRAY';
    return 'boolean' if JSON::PP::is_bool($v);
    # A number has been one in the text if JSON::PP writes it as one.
    return 'string' if $json->allow_nonref->encode($v) =~ /^"/;
    return $v =~ /^-?\d+$/ ? 'integer' : 'number';
}

my %known = map { $_ => 1 } qw($schema title description type required
    properties additionalProperties items enum const);

sub fault {
    my ($where, $what) = @_;
    print "$where: $what\n";
    $bad = 1;
}

sub types { my ($s) = @_; return ref $s->{type} ? @{$s->{type}} : $s->{type} }

sub check_type {
    my ($s, $v, $at) = @_;
    my $is = type_of($v);
    return 1 if grep { $_ eq $is || $_ eq 'number' && $is eq 'integer' } types($s);
    fault($at, "is of type $is, not " . join(' or ', types($s)));
    return 0;
}

sub check {
    my ($s, $v, $name, $at) = @_;
    for (keys %$s) { die "$name: '$_' of JSON Schema is not known here\n" if !$known{$_} }
    $seen{"$name: $at"} = 1 if $at ne '';
    return if !check_type($s, $v, "$name: $at");
    if ($s->{enum} && !grep { $_ eq $v } @{$s->{enum}}) { fault("$name: $at", "is '$v'") }
    if (exists $s->{const} && $s->{const} ne $v) { fault("$name: $at", "is '$v'") }
    if (ref $v eq 'ARRAY') {
        check($s->{items}, $_, $name, "$at\[]") for @$v;
    }
    return if ref $v ne 'HASH' || $s->{additionalProperties};
    for (@{$s->{required}}) { fault("$name: $at", "has no '$_'") if !exists $v->{$_} }
    for (sort keys %$v) {
        my $p = $s->{properties}{$_};
        my $path = $at eq '' ? $_ : "$at.$_";
        if ($p) { check($p, $v->{$_}, $name, $path) }
        else { fault("$name: $path", 'is not in the schema') }
    }
}

sub all_keys {
    my ($s, $name, $at) = @_;
    print "$name: $at\n" if $at ne '';
    all_keys($s->{items}, $name, "$at\[]") if $s->{items};
    for (sort keys %{$s->{properties} || {}}) {
        all_keys($s->{properties}{$_}, $name, $at eq '' ? $_ : "$at.$_");
    }
}

sub load {
    my ($file) = @_;
    my ($name) = $file =~ m{([^/]+)\.json$} or die "$file is no schema\n";
    return ($json->decode(slurp($file)), $name);
}

# Which schema does what this command printed have to follow?
sub schema_for {
    my ($typed, $v) = @_;
    return 'error' if $v->{error};
    my ($command) = $typed =~ /\b(create|revert|clone|delete|recover|list|info)\b/;
    return "$command-dry-run" if $v->{dry_run};
    return 'list-long' if $typed =~ / (--long|-l)\b/;
    return $command;
}

my $mode = shift // '';
if ($mode eq 'keys') {
    all_keys(load($_), '') for sort @ARGV;
} elsif ($mode eq 'check') {
    my ($s, $name) = load(shift);
    my $text = @ARGV ? slurp($ARGV[0]) : do { local $/; <STDIN> };
    check($s, $json->decode($text), $name, '');
} elsif ($mode eq 'golden') {
    my $dir = shift;
    for my $file (@ARGV) {
        my $text = slurp($file);
        while ($text =~ /^\$ ([^\n]*)\n(\{\n.*?^\}$)/msg) {
            my ($typed, $object) = ($1, $2);
            # The filter of fake.sh left words where numbers were.
            $object =~ s/: (?:SIZE|TIME|EPOCH)\b/: 0/g;
            my $v = $json->decode($object);
            my ($s, $name) = load("$dir/" . schema_for($typed, $v) . '.json');
            check($s, $v, $name, '');
        }
    }
} else {
    die "usage: json_schema.pl keys|check|golden …\n";
}
print STDERR "$_\n" for sort keys %seen;
exit($bad ? 1 : 0);
