/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_SUPPORT_H
#define MACHINE_SUPPORT_H

/*
 * What the command line can say and this build cannot do: refused with a sentence, so that nothing
 * a user asks for is quietly left out.  The table in support.c shrinks as features arrive.
 */

#include "machine/config.h"

bool support_check(const VmConfig *config, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
