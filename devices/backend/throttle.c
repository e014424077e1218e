/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/throttle.h"

#include "util/error.h"

#include <inttypes.h>
#include <math.h>

#define NS_PER_SECOND 1e9

/* What a bucket without a burst holds, and what the second bucket of a burst does, in seconds. */
#define SLACK_SECONDS 0.1

typedef struct KindInfo {
    const char *name;
    bool counts_bytes;
    bool reads;
    bool writes;
} KindInfo;

static const KindInfo kinds[THROTTLE_LIMITS] = {
    [THROTTLE_BPS_TOTAL] = {"bps-total", true, true, true},
    [THROTTLE_BPS_READ] = {"bps-read", true, true, false},
    [THROTTLE_BPS_WRITE] = {"bps-write", true, false, true},
    [THROTTLE_IOPS_TOTAL] = {"iops-total", false, true, true},
    [THROTTLE_IOPS_READ] = {"iops-read", false, true, false},
    [THROTTLE_IOPS_WRITE] = {"iops-write", false, false, true},
};

static bool check_limit(const KindInfo *kind, const ThrottleLimit *limit, GError **error)
{
    if (limit->rate > THROTTLE_MAX || limit->burst > THROTTLE_MAX) {
        return fail(error, VMM_ERROR_CONFIG, "throttling.%s: %" PRIu64 " exceeds %" PRIu64,
                    kind->name, MAX(limit->rate, limit->burst), THROTTLE_MAX);
    }
    if (limit->burst != 0 && limit->rate == 0) {
        return fail(error, VMM_ERROR_CONFIG, "throttling.%s-max needs throttling.%s", kind->name,
                    kind->name);
    }
    if (limit->burst != 0 && limit->burst < limit->rate) {
        return fail(error, VMM_ERROR_CONFIG,
                    "throttling.%s-max: %" PRIu64 " is below throttling.%s, %" PRIu64, kind->name,
                    limit->burst, kind->name, limit->rate);
    }
    if (limit->burst_seconds > 1 && limit->burst == 0) {
        return fail(error, VMM_ERROR_CONFIG, "throttling.%s-max-length needs throttling.%s-max",
                    kind->name, kind->name);
    }
    if (limit->burst_seconds > 1 && limit->burst > THROTTLE_MAX / limit->burst_seconds) {
        return fail(error, VMM_ERROR_CONFIG,
                    "throttling.%s-max-length: %" PRIu64 " seconds at this rate exceed %" PRIu64,
                    kind->name, limit->burst_seconds, THROTTLE_MAX);
    }
    return true;
}

static bool check_total(const ThrottleConfig *config, ThrottleKind total, GError **error)
{
    const ThrottleLimit *limit = &config->limit[total];

    if (limit[0].rate != 0 && (limit[1].rate != 0 || limit[2].rate != 0)) {
        return fail(error, VMM_ERROR_CONFIG, "throttling.%s excludes throttling.%s and %s",
                    kinds[total].name, kinds[total + 1].name, kinds[total + 2].name);
    }
    return true;
}

bool throttle_check_config(const ThrottleConfig *config, GError **error)
{
    bool any_iops = false;

    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        if (!check_limit(&kinds[i], &config->limit[i], error)) {
            return false;
        }
        any_iops |= !kinds[i].counts_bytes && config->limit[i].rate != 0;
    }
    if (config->iops_size != 0 && !any_iops) {
        return fail(error, VMM_ERROR_CONFIG,
                    "throttling.iops-size needs a limit on operations, such as "
                    "throttling.iops-total");
    }
    return check_total(config, THROTTLE_BPS_TOTAL, error) &&
           check_total(config, THROTTLE_IOPS_TOTAL, error);
}

bool throttle_is_enabled(const ThrottleConfig *config)
{
    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        if (config->limit[i].rate != 0) {
            return true;
        }
    }
    return false;
}

void throttle_init(Throttle *throttle, const ThrottleConfig *config, int64_t now_ns)
{
    *throttle = (Throttle){.config = *config, .leaked_ns = now_ns};
}

static void leak(Throttle *throttle, int64_t now_ns)
{
    double seconds = (double)(now_ns - throttle->leaked_ns) / NS_PER_SECOND;

    if (seconds <= 0) {
        return;
    }
    throttle->leaked_ns = now_ns;
    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        const ThrottleLimit *limit = &throttle->config.limit[i];
        ThrottleBucket *bucket = &throttle->bucket[i];

        bucket->level = fmax(bucket->level - (double)limit->rate * seconds, 0);
        bucket->burst_level = fmax(bucket->burst_level - (double)limit->burst * seconds, 0);
    }
}

static double bucket_wait_seconds(const ThrottleLimit *limit, const ThrottleBucket *bucket)
{
    double rate = (double)limit->rate;
    double burst = (double)limit->burst;
    double room = rate * SLACK_SECONDS;

    if (limit->burst != 0) {
        room = burst * (double)MAX(limit->burst_seconds, 1);
    }
    if (bucket->level > room) {
        return (bucket->level - room) / rate;
    }
    if (limit->burst_seconds > 1 && bucket->burst_level > burst * SLACK_SECONDS) {
        return (bucket->burst_level - burst * SLACK_SECONDS) / burst;
    }
    return 0;
}

static bool applies(ThrottleKind kind, bool is_write)
{
    return is_write ? kinds[kind].writes : kinds[kind].reads;
}

int64_t throttle_wait_ns(Throttle *throttle, bool is_write, int64_t now_ns)
{
    double seconds = 0;

    leak(throttle, now_ns);
    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        if (throttle->config.limit[i].rate != 0 && applies(i, is_write)) {
            seconds = fmax(seconds,
                           bucket_wait_seconds(&throttle->config.limit[i], &throttle->bucket[i]));
        }
    }
    return (int64_t)ceil(seconds * NS_PER_SECOND);
}

void throttle_account(Throttle *throttle, bool is_write, uint64_t bytes)
{
    uint64_t size = throttle->config.iops_size;
    double operations = 1;

    if (size != 0 && bytes > size) {
        operations = (double)bytes / (double)size;
    }
    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        if (applies(i, is_write)) {
            double cost = kinds[i].counts_bytes ? (double)bytes : operations;

            throttle->bucket[i].level += cost;
            throttle->bucket[i].burst_level += cost;
        }
    }
}
