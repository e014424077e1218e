/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_FAULT_H
#define UTIL_FAULT_H

/*
 * Named points at which a test can make the host fail.  A build without -Dfault_injection has none:
 * the calls vanish.
 *
 *     err = fault_errno("template-sync");
 *     if (err == 0 && fsync(fd) < 0) {
 *         err = errno;
 *     }
 */

#if defined(STENCIL_FAULT_INJECTION)

/* What the point is to fail with now, an errno value, or 0.  Any thread. */
int fault_errno(const char *point);

/*
 * The nth time from now (1 is the next), and each time after it, the point fails with err.  One
 * point at a time; NULL disarms.  A whole process is armed by STENCIL_FAULT=POINT:NTH:ERRNO in its
 * environment.
 */
void fault_arm(const char *point, unsigned nth, int err);

#else

static inline int fault_errno(const char *point)
{
    (void)point;
    return 0;
}

#endif

#endif
