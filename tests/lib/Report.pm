# SPDX-License-Identifier: LGPL-2.1-only
#
# The harness that tests/run gives to prove(1).  prove runs the tests, reads
# their TAP and judges it; this adds one tier after the other, where the time
# went, what was skipped and what failed, at the end where nobody has to look
# for it, JUNIT=FILE, and the last line.
package Report;
use strict;
use warnings;
use parent 'TAP::Harness';

use constant { SLOWEST => 10, BEFORE => 30, AFTER => 60 };

# A number that a crash test counted: how often it was hit.
my $COUNT = qr/^(?:started before )?\d+ (?:errors injected|deaths|cuts|recoveries)/;

my @ended;    # what is known of each program, in the order of their ends
my %now;      # of those that run, by name

sub runtests {
    my ($self, @tests) = @_;
    my %seen;
    my @tiers = grep { !$seen{$_}++ } map { m{^(tests/[a-z]+)} } @tests;
    $self->rules({ seq => [map { { par => "$_**" } } @tiers, ''] });
    $self->callback(made_parser => \&watch);
    $self->callback(after_test  => \&ended);
    $self->SUPER::runtests(@tests);
    exit(sum('failed') || !sum('passed') ? 1 : 0);
}

# All that a program prints, by the way.
sub watch {
    my ($parser, $job) = @_;
    my $run = { name => $job->[0] =~ s{^tests/|\.\w+$}{}gr, lines => [], cases => [] };
    $now{$job->[0]} = $run;
    $parser->callback(ALL => sub {
        my $line = shift;
        push @{ $run->{lines} }, $line->raw;
        if ($line->is_test) {
            push @{ $run->{cases} }, a_case($run, $line);
        } elsif ($line->is_comment && $line->comment =~ /^SKIP (.*)/) {
            push @{ $run->{skips} }, $1;    # a part of a test, or why it skips
            $run->{told} = 1;
        } elsif ($line->is_plan && $line->explanation) {
            push @{ $run->{skips} }, $line->explanation;
        }
    });
}

sub a_case {
    my ($run, $line) = @_;
    my $what = $line->description =~ s/^- //r;
    my $seconds = $what =~ s/ \((\d+) s\)$// ? $1 : undef;
    my $skip = $line->has_skip ? $line->explanation : undef;
    # cmocka has the name there, and no reason.
    ($what, $skip) = ($skip, 'it says so') if defined $skip && $what eq '';
    push @{ $run->{skips} }, "$what: $skip" if defined $skip && !$run->{told};
    $run->{told} = 0;
    return { what => $what, seconds => $seconds, skip => $skip,
             ok => scalar($line->is_ok), at => $#{ $run->{lines} } };
}

sub ended {
    my ($job, $parser) = @_;
    my $run = delete $now{$job->[0]};
    my @cases = @{ $run->{cases} };
    $run->{seconds} = $parser->end_time - $parser->start_time;
    $run->{skipped} = @{ $run->{skips} // [] };
    $run->{passed}  = grep { $_->{ok} && !defined $_->{skip} } @cases;
    $run->{failed}  = grep { !$_->{ok} } @cases;
    if ($parser->has_problems) {
        $run->{why} = join '; ', $parser->parse_errors,
          $parser->exit ? 'ended with status ' . $parser->exit : ();
        $run->{failed} ||= 1;
    }
    push @ended, $run;
    print map { "      $_\n" } map { noted($_) } @{ $run->{lines} };
    print failure($run);
}

# What of a line is told when its program has ended.
sub noted {
    my $line = shift;
    return $line if $line =~ $COUNT;
    return sprintf '%5d s  %s', $2, $1 if $line =~ /^ok \d+ - (.*) \((\d+) s\)$/;
    return sprintf '%5d s    %s', $2, $1 if $line =~ /^# time: (.*) (\d+) s$/;
    return "      $1" if $line =~ /^# note: (.*)/;
    return;
}

sub sum {
    my $key = shift;
    my $n = 0;
    $n += $_->{$key} for @ended;
    return $n;
}

# Why a program failed: each test that did, with what it printed before and
# after; of one that died without, its last lines.
sub failure {
    my $run = shift;
    return () unless $run->{failed};
    my @lines = @{ $run->{lines} };
    my @said = ("FAILED: $run->{name}" . ($run->{why} ? " ($run->{why})" : ''));
    my @bad = map { $_->{at} } grep { !$_->{ok} } @{ $run->{cases} };
    my $shown = -1;
    @bad = $#lines if @lines && !@bad;
    for my $at (@bad) {
        my ($from, $to) = ($at, $at);
        $from-- while $from - 1 > $shown && $at - $from < BEFORE && $lines[$from - 1] !~ /^ok\b/;
        $to++ while $to < $#lines && $to - $at < AFTER && $lines[$to + 1] !~ /^(?:not )?ok\b/;
        push @said, map { "    | $_" } @lines[$from .. $to];
        $shown = $to;
    }
    return map { "$_\n" } @said;
}

sub slowest {
    my ($what, @all) = @_;
    @all = sort { $b->[0] <=> $a->[0] } @all;
    splice @all, SLOWEST if @all > SLOWEST;
    return unless @all;
    print "the slowest $what:\n";
    printf "  %7.1f s  %s\n", @$_ for @all;
}

sub summary {
    my ($self, @args) = @_;
    $self->SUPER::summary(@args);
    print "\n";
    slowest('tests', map { [$_->{seconds}, $_->{name}] } @ended);
    slowest('steps', map {
        my $run = $_;
        map { [$_->{seconds}, "$run->{name}: $_->{what}"] }
          grep { defined $_->{seconds} } @{ $run->{cases} }
    } @ended);
    junit($ENV{JUNIT}) if $ENV{JUNIT};
    for my $run (@ended) {
        print map { "SKIPPED: $run->{name}: $_\n" } @{ $run->{skips} // [] };
    }
    print map { failure($_) } @ended;
    printf "%d passed, %d failed", sum('passed'), sum('failed');
    printf ', %d skipped', sum('skipped') if sum('skipped');
    print "\n";
}

sub xml {
    my $text = shift;
    $text =~ s/[^\t\n -~\x80-\xff]/?/g;
    $text =~ s/([&<>"])/'&#' . ord($1) . ';'/ge;
    return $text;
}

sub junit {
    my $file = shift;
    open my $out, '>', $file or die "$file: $!\n";
    print $out qq{<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n};
    for my $run (@ended) {
        my $name = xml($run->{name});
        printf $out qq{<testsuite name="%s" tests="%d" failures="%d" skipped="%d" time="%.1f">\n},
          $name, $run->{passed} + $run->{failed} + $run->{skipped},
          @$run{qw(failed skipped seconds)};
        my $why = join '', failure($run);
        for my $case (@{ $run->{cases} }) {
            printf $out qq{<testcase classname="%s" name="%s" time="%d">}, $name,
              xml($case->{what}), $case->{seconds} // 0;
            printf $out '<skipped message="%s"/>', xml($case->{skip}) if defined $case->{skip};
            print $out '<failure>', xml($why), '</failure>' if !$case->{ok};
            print $out "</testcase>\n";
        }
        # It died, or was skipped, as a whole.
        if ($run->{failed} && !grep { !$_->{ok} } @{ $run->{cases} }) {
            print $out qq{<testcase classname="$name" name="all of it"><failure>},
              xml($why), "</failure></testcase>\n";
        }
        print $out "</testsuite>\n";
    }
    print $out "</testsuites>\n";
    close $out or die "$file: $!\n";
}

1;
