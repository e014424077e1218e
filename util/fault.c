/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In test builds only, and the one place that keeps something global: a fault has to reach code
 * that knows nothing of the test.
 */
#include "util/fault.h"

#include "util/lock.h"

#include <glib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct {
    Mutex lock;
    /* guarded by lock */
    bool from_environment;
    char point[64];
    unsigned left;
    int err;
} fault = {.lock = {PTHREAD_MUTEX_INITIALIZER}};

static void arm_locked(const char *point, unsigned nth, int err) REQUIRES(&fault.lock)
{
    fault.from_environment = true;
    g_strlcpy(fault.point, point ? point : "", sizeof(fault.point));
    fault.left = nth;
    fault.err = err;
}

static void ask_environment_locked(void) REQUIRES(&fault.lock)
{
    const char *text = g_getenv("STENCIL_FAULT");
    g_auto(GStrv) parts = g_strsplit(text ? text : "", ":", 3);

    fault.from_environment = true;
    if (g_strv_length(parts) == 3) {
        arm_locked(parts[0], (unsigned)strtoul(parts[1], NULL, 10),
                   (int)strtol(parts[2], NULL, 10));
    }
}

int fault_errno(const char *point)
{
    int err = 0;

    mutex_lock(&fault.lock);
    if (!fault.from_environment) {
        ask_environment_locked();
    }
    if (strcmp(fault.point, point) == 0) {
        fault.left -= fault.left > 0;
        err = fault.left == 0 ? fault.err : 0;
    }
    mutex_unlock(&fault.lock);
    return err;
}

void fault_arm(const char *point, unsigned nth, int err)
{
    mutex_lock(&fault.lock);
    arm_locked(point, nth, err);
    mutex_unlock(&fault.lock);
}
