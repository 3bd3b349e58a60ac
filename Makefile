# SPDX-License-Identifier: LGPL-2.1-only
# make              build the program, and the module for the installed Xen
# make programs     the same, and never install a package for it
# make module       the module alone; XEN_ROOT=DIR: for the Xen unpacked there
# make demo         see it work: a real guest on a real Xen, in QEMU
# make lab          a shell in that Xen, to try the commands by hand
# make compdb       compile_commands.json, for editors and tools
# make clean        remove all that was built
# make help         all of these; Config.mk has what can be set

include Config.mk

all: build

SRC      := xl-snapshot
LIB_SRC  := $(wildcard $(SRC)/lib/*.c $(SRC)/model/*.c $(SRC)/store/*.c \
            $(SRC)/op/*.c $(SRC)/disk/*.c $(SRC)/disk/*/*.c) \
            $(SRC)/hyp/load.c
CLI_SRC  := $(wildcard $(SRC)/cli/*.c)
HYP_SRC  := $(filter-out $(SRC)/hyp/load.c,$(wildcard $(SRC)/hyp/*.c))

# A packager's own come from the environment or from make's command line.
override CPPFLAGS += -D_GNU_SOURCE -I$(SRC) -DSNAP_VERSION='"$(VERSION)"' \
            -DSNAP_PKGLIBDIR='"$(PKGLIBDIR)"'
ALL_CFLAGS = -std=gnu11 $(OPT) $(WARNINGS) $(HARDEN) $(SANFLAGS) $(CFLAGS)
LIBS     := -lyajl -lxxhash -lpthread -ldl
XEN_LIBS := $(if $(XEN_ROOT),$(addprefix -L,$(wildcard $(XEN_ROOT)/usr/lib/*-linux-*))) -lxenlight -lxlutil -lxenstore -lxentoollog

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJ  := $(call obj,$(LIB_SRC))
CLI_OBJ  := $(call obj,$(CLI_SRC))
HYP_OBJ  := $(call obj,$(HYP_SRC))
LIBSNAP  := $(BUILD)/libsnap.a
PROGRAM  := $(BUILD)/xl-snapshot
MODULE   := $(if $(XEN_VERSION),$(BUILD)/hyp-xen-$(XEN_VERSION).so)

$(BUILD)/obj/%.o: %.c Config.mk
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(CPPFLAGS) $(EXTRA_$(subst /,_,$*)) -MMD -MP -c $< -o $@

$(HYP_OBJ): ALL_CFLAGS += -fPIC $(if $(XEN_ROOT),-isystem $(XEN_ROOT)/usr/include)

# An archive is made anew: a source that went away leaves no member behind.
$(LIBSNAP): $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

# The module takes lib/ and model/ (domain_json.h) from the program that loads it,
# hence -rdynamic and the whole archive.  SNAP_HYP_ABI counts changes of
# hyp_ops.h and of what the module takes so.
$(PROGRAM): $(CLI_OBJ) $(LIBSNAP)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -pie -rdynamic -o $@ $(CLI_OBJ) \
	    -Wl,--whole-archive $(LIBSNAP) -Wl,--no-whole-archive $(LIBS)

$(MODULE): $(HYP_OBJ)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -shared -o $@ $^ $(XEN_LIBS)

.PHONY: all build deps
# What is missing is installed by name; with all there it costs nothing.
deps:
	@tools/deps.sh build
build: $(if $(XEN_VERSION),,deps)
	@$(MAKE) --no-print-directory programs
.PHONY: programs module
programs: $(PROGRAM) $(MODULE)
	@:
module: $(MODULE)
	@$(if $(MODULE),:,echo "no Xen to build it for: libxen-dev is not installed" >&2; exit 1)

-include $(patsubst %.o,%.d,$(LIB_OBJ) $(CLI_OBJ) $(HYP_OBJ))

include tests/Makefile.inc
include docs/Makefile.inc
include tools/Makefile.inc

# What compiles each source, from the same variables as the rules above.
COMMA    := ,
json_text = $(subst ",\",$(subst \,\\,$(1)))
# flags, source
compdb_entry = {"directory": "$(CURDIR)"$(COMMA) "file": "$(2)"$(COMMA) \
    "command": "$(call json_text,$(CC) $(ALL_CFLAGS) $(1)) -c $(2)"}
# flags, sources
compdb_add = $(foreach f,$(2),$(file \
    >>$(COMPDB),$(call compdb_entry,$(1),$(f))$(COMMA)))
TEST_SRC := $(HELP_SRC) $(wildcard tests/tools/*.c tests/toolcrash/*.c \
            tests/toy/*.c tests/fakes/xen/*.c tests/crash/*.c tests/cli/*.c) $(UNIT_SRC)
COMPDB   ?= compile_commands.json
LAST_SRC := tools/front/xl.c

.PHONY: compdb
compdb:
	$(file >$(COMPDB),[)
	$(call compdb_add,$(CPPFLAGS),$(LIB_SRC) $(CLI_SRC))
	$(call compdb_add,$(CPPFLAGS) -fPIC,$(if $(XEN_VERSION),$(HYP_SRC)))
	$(call compdb_add,$(T_CPP),$(TEST_SRC))
	$(file >>$(COMPDB),$(call compdb_entry,$(CPPFLAGS),$(LAST_SRC)))
	$(file >>$(COMPDB),])
	@:

.PHONY: clean help
clean:
	rm -rf build build-san compile_commands.json

help:
	@sed -n 's/^# \(make [a-z].*\)/\1/p; s/^# \(make   .*\)/\1/p' \
	    Makefile */Makefile.inc
