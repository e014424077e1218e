/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_THROTTLE_H
#define DEVICES_BACKEND_THROTTLE_H

/*
 * Limits on operations and bytes a second: leaky buckets, as QEMU's throttling.* options have them.
 *
 *     each request pours its cost in; the bucket leaks at `rate` a second; a request may go while
 *     the bucket is not over-full
 *
 * Without a burst a bucket holds a tenth of a second's worth.  With one it holds burst x
 * burst_seconds, and a second bucket keeps the rate below `burst` while that lasts.
 *
 * There is no clock in here: callers say what time it is.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    THROTTLE_BPS_TOTAL,
    THROTTLE_BPS_READ,
    THROTTLE_BPS_WRITE,
    THROTTLE_IOPS_TOTAL,
    THROTTLE_IOPS_READ,
    THROTTLE_IOPS_WRITE,
    THROTTLE_LIMITS,
} ThrottleKind;

/* More than any device does, little enough that sums stay exact. */
#define THROTTLE_MAX UINT64_C(1000000000000000)

typedef struct ThrottleLimit {
    uint64_t rate;          /* a second; 0 = no limit */
    uint64_t burst;         /* a second; 0 = none */
    uint64_t burst_seconds; /* 0 counts as 1 */
} ThrottleLimit;

typedef struct ThrottleConfig {
    ThrottleLimit limit[THROTTLE_LIMITS];
    uint64_t iops_size; /* a request of n times as many bytes counts as n operations; 0 = never */
} ThrottleConfig;

typedef struct ThrottleBucket {
    double level;
    double burst_level;
} ThrottleBucket;

typedef struct Throttle {
    ThrottleConfig config;
    ThrottleBucket bucket[THROTTLE_LIMITS];
    int64_t leaked_ns; /* when the buckets leaked last */
} Throttle;

/* Says what contradicts itself, in the names of the options. */
bool throttle_check_config(const ThrottleConfig *config, GError **error);
bool throttle_is_enabled(const ThrottleConfig *config);

/* Starts with empty buckets; config has been checked. */
void throttle_init(Throttle *throttle, const ThrottleConfig *config, int64_t now_ns);

/* How long the next read (or write) has to wait: 0 = it may go now. */
int64_t throttle_wait_ns(Throttle *throttle, bool is_write, int64_t now_ns);

/* A request goes. */
void throttle_account(Throttle *throttle, bool is_write, uint64_t bytes);

#endif
