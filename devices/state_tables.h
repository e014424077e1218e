/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_STATE_TABLES_H
#define DEVICES_STATE_TABLES_H

/*
 * The state table of every device model, named on the command line or not: for -dump-vmstate, and
 * so for the check that templates stay readable.  tests/style/check_state_tables.py sees to it that
 * none is missing.
 */

#include "migration/vmstate.h"

extern const VmStateDesc *const device_state_tables[];
extern const size_t device_num_state_tables;

#endif
