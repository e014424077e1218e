/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_OPTIONS_H
#define MACHINE_OPTIONS_H

/*
 * The command line: QEMU's dialect, with StratoVirt's words where they differ.
 *
 * One const table (options_table.c) says everything about every option: what may follow it, its
 * help and its default, and the function that puts it into the VmConfig.  An option of another
 * monitor that can have no effect here is in the table as ignored; one that would change what the
 * guest sees, and is not supported, is refused with the reason.
 */

#include "machine/config.h"

#include <glib.h>
#include <stdbool.h>

/*
 * Lower layers know the device types, CPU feature sets and templates; whoever parses options for
 * real says who answers for them.  Each returns text to print, or NULL if there is none.  Optional.
 */
typedef struct OptionsOutcome {
    char *(*device_help)(const char *type); /* type NULL: list them */
    char *(*cpu_help)(void);
    char *(*dump_state)(const char *path, GError **error);
    char *(*dump_vmstate)(void);

    /* Set by options_parse: print this and exit with status 0, instead of starting a VM. */
    char *text;
} OptionsOutcome;

/*
 * Reads argv[1] .. argv[argc - 1] into config, which comes fresh from vm_config_new.  After a
 * failure config is half full and good for vm_config_free only.  The result still needs
 * vm_config_validate.
 */
bool options_parse(int argc, char **argv, VmConfig *config, OptionsOutcome *ret_outcome,
                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What -help prints. */
char *options_help(void);

/* The options that do something, one after the other, without their dash; NULL behind the last. */
const char *options_name(size_t index);

/* The first line of -version: "Stencil VMM version 0.1.0". */
const char *options_version(void);

#endif
