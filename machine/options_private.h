/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_OPTIONS_PRIVATE_H
#define MACHINE_OPTIONS_PRIVATE_H

/*
 * What the files of the option parser share.
 *
 * A setter is called once for each time its option is there, in command-line order.  What depends
 * on options that may come later (topology for -numa, stdio for -nographic) is kept in the parser
 * and settled by options_finish.
 */

#include "machine/config.h"
#include "machine/options.h"
#include "util/props.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum OptionArgument {
    OPTION_FLAG,     /* nothing follows */
    OPTION_VALUE,    /* one word follows */
    OPTION_OPTIONAL, /* a word follows unless it is the next option */
    OPTION_WORDS,    /* all words up to the next option, joined by blanks */
} OptionArgument;

typedef enum OptionGroup {
    OPTION_GROUP_MACHINE,
    OPTION_GROUP_BOOT,
    OPTION_GROUP_DEVICES,
    OPTION_GROUP_CONTROL,
    OPTION_GROUP_PROCESS,
    OPTION_GROUP_DEBUG,
    OPTION_GROUP_IGNORED, /* accepted, and of no effect */
    OPTION_GROUP_REFUSED, /* known, and refused with a reason; not in the help */
} OptionGroup;

typedef struct OptionsParser {
    VmConfig *config;
    OptionsOutcome *outcome;
    const char *accel_from; /* which option chose the accelerator, or NULL */
    PropBag *machine;       /* all -machine together */
    GPtrArray *numa;        /* of PropBag, as given */
    bool nodefaults;
    bool nographic;
    bool acpi_off;
    bool serial_given;
    unsigned drives_named;
    unsigned monitors_named;
} OptionsParser;

typedef struct Option Option;
typedef bool (*OptionSetter)(OptionsParser *parser, const Option *option, const char *value,
                             GError **error);

struct Option {
    const char *name;
    const char *alias; /* optional */
    OptionArgument argument;
    bool repeatable;
    OptionGroup group;
    const char *form;         /* what follows, for the help */
    const char *default_text; /* for the help; NULL where there is none to tell */
    const char *help;         /* for OPTION_GROUP_REFUSED: the reason */
    OptionSetter set;
    size_t member;           /* offset in VmConfig of what a generic setter sets */
    const char *implied_key; /* option_set_bag */
    const char *fixed;       /* a value that the option stands for */
};

extern const Option option_table[];
extern const size_t option_count;

/* Generic setters (options.c); member is a bool, a char *, a GPtrArray * of PropBag. */
bool option_set_true(OptionsParser *parser, const Option *option, const char *value,
                     GError **error);
bool option_set_string(OptionsParser *parser, const Option *option, const char *value,
                       GError **error);
bool option_add_bag(OptionsParser *parser, const Option *option, const char *value, GError **error);
bool option_ignore(OptionsParser *parser, const Option *option, const char *value, GError **error);
bool option_refuse(OptionsParser *parser, const Option *option, const char *value, GError **error);
bool option_help(OptionsParser *parser, const Option *option, const char *value, GError **error);
bool option_version(OptionsParser *parser, const Option *option, const char *value, GError **error);
bool option_dump_state(OptionsParser *parser, const Option *option, const char *value,
                       GError **error);
bool option_dump_vmstate(OptionsParser *parser, const Option *option, const char *value,
                         GError **error);

/* Parses value and applies table to it: the whole of most options. */
bool option_apply(const char *value, const char *implied_key, const PropTable *table, void *ret,
                  GError **error);

/* options_machine.c */
bool option_set_machine(OptionsParser *parser, const Option *option, const char *value,
                        GError **error);
bool option_set_accel(OptionsParser *parser, const Option *option, const char *value,
                      GError **error);
bool option_set_no_acpi(OptionsParser *parser, const Option *option, const char *value,
                        GError **error);
bool options_finish_machine(OptionsParser *parser, GError **error);

/* options_resources.c */
bool option_set_cpu(OptionsParser *parser, const Option *option, const char *value, GError **error);
bool option_set_smp(OptionsParser *parser, const Option *option, const char *value, GError **error);
bool option_set_memory(OptionsParser *parser, const Option *option, const char *value,
                       GError **error);
void options_finish_memory(OptionsParser *parser);

/* options_numa.c */
bool option_add_numa(OptionsParser *parser, const Option *option, const char *value,
                     GError **error);
bool options_finish_numa(OptionsParser *parser, GError **error);

/* options_devices.c */
bool option_add_object(OptionsParser *parser, const Option *option, const char *value,
                       GError **error);
bool option_add_drive(OptionsParser *parser, const Option *option, const char *value,
                      GError **error);
bool option_add_device(OptionsParser *parser, const Option *option, const char *value,
                       GError **error);
bool option_add_fd(OptionsParser *parser, const Option *option, const char *value, GError **error);
bool option_add_global(OptionsParser *parser, const Option *option, const char *value,
                       GError **error);

/* options_chardev.c */
bool option_add_serial(OptionsParser *parser, const Option *option, const char *value,
                       GError **error);
bool option_add_qmp(OptionsParser *parser, const Option *option, const char *value, GError **error);
bool option_add_mon(OptionsParser *parser, const Option *option, const char *value, GError **error);
bool option_set_monitor(OptionsParser *parser, const Option *option, const char *value,
                        GError **error);
bool option_set_gdb(OptionsParser *parser, const Option *option, const char *value, GError **error);
bool option_set_qtest(OptionsParser *parser, const Option *option, const char *value,
                      GError **error);
bool option_set_nographic(OptionsParser *parser, const Option *option, const char *value,
                          GError **error);
bool options_finish_serial(OptionsParser *parser, GError **error);

/* options_run.c */
bool option_set_name(OptionsParser *parser, const Option *option, const char *value,
                     GError **error);
bool option_set_uuid(OptionsParser *parser, const Option *option, const char *value,
                     GError **error);
bool option_set_incoming(OptionsParser *parser, const Option *option, const char *value,
                         GError **error);
bool option_set_action(OptionsParser *parser, const Option *option, const char *value,
                       GError **error);
bool option_set_rtc(OptionsParser *parser, const Option *option, const char *value, GError **error);
bool option_set_sandbox(OptionsParser *parser, const Option *option, const char *value,
                        GError **error);
bool option_set_hardware_signature(OptionsParser *parser, const Option *option, const char *value,
                                   GError **error);
bool option_set_log(OptionsParser *parser, const Option *option, const char *value, GError **error);
bool option_set_msg(OptionsParser *parser, const Option *option, const char *value, GError **error);
bool option_set_run_with(OptionsParser *parser, const Option *option, const char *value,
                         GError **error);
bool option_set_nodefaults(OptionsParser *parser, const Option *option, const char *value,
                           GError **error);

/* options_trace.c */
bool option_add_trace(OptionsParser *parser, const Option *option, const char *value,
                      GError **error);

/* Accepts the one value that changes nothing ("none", "driver=none"), refuses others. */
bool option_only_fixed(OptionsParser *parser, const Option *option, const char *value,
                       GError **error);

/* Accepts options whose properties can all be ignored or are off. */
bool option_check_boot(OptionsParser *parser, const Option *option, const char *value,
                       GError **error);
bool option_check_overcommit(OptionsParser *parser, const Option *option, const char *value,
                             GError **error);

#endif
