/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_TEMPLATE_CONFIG_H
#define MACHINE_TEMPLATE_CONFIG_H

/*
 * The command line beside a template's configuration.
 *
 * What the guest sees must be the same; what only the host sees (paths, taps, consoles, how RAM is
 * backed) is the command line's.  A command line that says nothing of the machine takes the
 * template's as a whole, with back ends of the same id replaced by its own.
 */

#include "machine/config.h"

/* True if all of the machine is to come from the template. */
bool template_config_is_wanted(const VmConfig *config);

/* saved is the template's config section.  One error lists every difference. */
bool template_config_check(const VmConfig *config, json_object *saved, GError **error);

/* Fills in what the command line left open, then checks as above. */
bool template_config_take(VmConfig *config, json_object *saved, GError **error);

#endif
