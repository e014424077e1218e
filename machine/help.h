/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_HELP_H
#define MACHINE_HELP_H

/* Answers to "-device help", "-device TYPE,help" and "-cpu help", from the tables that rule them. */

/* type NULL: all device types.  NULL if there is no such type.  The caller frees. */
char *help_devices(const char *type);
char *help_cpus(void);

#endif
