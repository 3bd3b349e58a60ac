# SPDX-License-Identifier: LGPL-2.1-only
# What a packager or developer may set, all on make's command line; what is set
# by ?= may come from the environment as well, and so may CFLAGS, CPPFLAGS and
# LDFLAGS, which are a packager's own.

VERSION     := 0.1.0

PREFIX      ?= /usr
SBINDIR     ?= $(PREFIX)/sbin
PKGLIBDIR   ?= $(PREFIX)/lib/xl-snapshot
MANDIR      ?= $(PREFIX)/share/man
COMPLDIR    ?= $(PREFIX)/share/bash-completion/completions
# Bash reads what is here at once: the completion of xl with our commands.
COMPATDIR   ?= /etc/bash_completion.d
# Where systemd looks.
UNITDIR     ?= $(if $(filter /usr /usr/local,$(PREFIX)),$(PREFIX)/lib,/etc)/systemd/system
DESTDIR     ?=

CC          ?= gcc
PKG_CONFIG  ?= pkg-config
# A warning of ours is an error, for us; a packager whose compiler is newer
# sets it empty: make WERROR=
WERROR      ?= -Werror
WARNINGS    := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes \
               -Wmissing-prototypes -Wformat=2 -Wno-format-nonliteral \
               $(WERROR)
OPT         ?= -O2 -g
# What a distribution's own flags have may be left out here: make HARDEN=-fPIE
HARDEN      ?= -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
# All symbols are bound when a program starts: nothing of that is writable
# later, and the thousands of short children of the crash tests need not do it.
HARDEN_LINK ?= -Wl,-z,relro,-z,now
ALL_LDFLAGS = $(HARDEN_LINK) $(LDFLAGS)

# SAN=1: everything under AddressSanitizer and UBSan, in a folder of its own.
SAN         ?=
ifneq ($(SAN),)
OPT         := -O1 -g
HARDEN      := -fPIE
SANFLAGS    := -fsanitize=address,undefined -fno-sanitize-recover=all \
               -fno-omit-frame-pointer
# gcc guesses lengths worse under sanitizers, and warns of cuts we intend
WARNINGS    += -Wno-format-truncation
endif
BUILD       ?= build$(if $(SAN),-san)

# A folder with the headers and libraries of a Xen that is not installed, as
# Debian's libxen-dev and what it needs are when unpacked there (dpkg -x):
# make XEN_ROOT=DIR BUILD=DIR module
XEN_ROOT    ?=
XEN_PC      := $(if $(XEN_ROOT),PKG_CONFIG_LIBDIR=$(firstword $(wildcard $(XEN_ROOT)/usr/lib/*/pkgconfig)))

# The Xen that the hypervisor module is built for: empty where libxen-dev is
# not installed, and then everything else still builds and is tested.
XEN_VERSION := $(shell $(XEN_PC) $(PKG_CONFIG) --modversion xenlight 2>/dev/null | cut -d. -f1,2)
