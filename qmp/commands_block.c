/* SPDX-License-Identifier: Apache-2.0 */
/* Disks. */
#include "machine/backends.h"
#include "qmp/generated.h"
#include "util/error.h"

#include <string.h>

/* What the user said about the drive; back ends are in the order of -drive, then -blockdev. */
static const PropBag *bag_of(const VmConfig *config, guint index)
{
    return index < config->drives->len ? config->drives->pdata[index]
                                       : config->blockdevs->pdata[index - config->drives->len];
}

static bool is_direct(const PropBag *bag)
{
    static const char *const keys[] = {"cache.direct", "direct", "file.cache.direct"};
    const char *cache = prop_bag_get(bag, "cache");

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        const char *value = prop_bag_get(bag, keys[i]);

        if (value) {
            return strcmp(value, "on") == 0 || strcmp(value, "true") == 0;
        }
    }
    return g_strcmp0(cache, "none") == 0 || g_strcmp0(cache, "directsync") == 0;
}

/* A throttle's limits: QMP's name, and that of the command line. */
typedef struct LimitName {
    const char *name;
    const char *option;
} LimitName;

static const LimitName limits[] = {
    {"bps", "throttling.bps-total"},     {"bps_rd", "throttling.bps-read"},
    {"bps_wr", "throttling.bps-write"},  {"iops", "throttling.iops-total"},
    {"iops_rd", "throttling.iops-read"}, {"iops_wr", "throttling.iops-write"},
};

static int64_t limit_of(const PropBag *bag, const LimitName *limit)
{
    const char *value = prop_bag_get(bag, limit->option);

    return value ? g_ascii_strtoll(value, NULL, 0) : 0;
}

static json_object *describe_node(const QmpCall *call, guint index)
{
    const BlockBackend *blk = backends_drives(call->vm->backends)->pdata[index];
    const PropBag *bag = bag_of(call->vm->config, index);
    const char *detect = prop_bag_get(bag, "detect-zeroes");
    const char *file = blk->file_name ? blk->file_name : "";
    json_object *info = json_object_new_object();
    json_object *cache = json_object_new_object();
    json_object *image = json_object_new_object();

    qmp_add_string(info, "file", file);
    if (blk->node_name) {
        qmp_add_string(info, "node-name", blk->node_name);
    }
    qmp_add_bool(info, "ro", blk->read_only);
    qmp_add_string(info, "drv", "raw");
    qmp_add_int(info, "backing_file_depth", 0);
    qmp_add_bool(info, "encrypted", false);
    qmp_add_string(info, "detect_zeroes", detect ? detect : "off");
    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
        qmp_add_int(info, limits[i].name, limit_of(bag, &limits[i]));
    }
    qmp_add_int(info, "write_threshold", 0);
    qmp_add_bool(cache, "writeback", blk->limits.cached);
    qmp_add_bool(cache, "direct", is_direct(bag));
    qmp_add_bool(cache, "no-flush", false);
    json_object_object_add(info, "cache", cache);
    qmp_add_string(image, "filename", file);
    qmp_add_string(image, "format", "raw");
    qmp_add_int(image, "virtual-size", (int64_t)block_size(blk));
    json_object_object_add(info, "image", image);
    return info;
}

bool qmp_cmd_query_block(QmpCall *call, QmpReply *reply, GError **error)
{
    const GPtrArray *drives = backends_drives(call->vm->backends);

    (void)error;
    reply->value = json_object_new_array();
    for (guint i = 0; i < drives->len; i++) {
        const BlockBackend *blk = drives->pdata[i];
        json_object *entry = json_object_new_object();

        qmp_add_string(entry, "device", blk->id ? blk->id : "");
        qmp_add_string(entry, "type", "unknown");
        qmp_add_bool(entry, "removable", false);
        qmp_add_bool(entry, "locked", false);
        json_object_object_add(entry, "inserted", describe_node(call, i));
        json_object_array_add(reply->value, entry);
    }
    return true;
}

bool qmp_cmd_query_named_block_nodes(QmpCall *call, const QmpQueryNamedBlockNodesArgs *args,
                                     QmpReply *reply, GError **error)
{
    const GPtrArray *drives = backends_drives(call->vm->backends);

    (void)args;
    (void)error;
    reply->value = json_object_new_array();
    for (guint i = 0; i < drives->len; i++) {
        const BlockBackend *blk = drives->pdata[i];

        if (blk->node_name) {
            json_object_array_add(reply->value, describe_node(call, i));
        }
    }
    return true;
}

/* ---- counters ---- */

static void add_count(json_object *stats, const char *name, const BlockCount *count)
{
    g_autofree char *operations = g_strconcat(name, "_operations", NULL);
    g_autofree char *failed = g_strconcat("failed_", operations, NULL);
    g_autofree char *time = g_strconcat(name, "_total_time_ns", NULL);
    g_autofree char *bytes = g_strconcat(name, "_bytes", NULL);

    if (strcmp(name, "flush") != 0) {
        qmp_add_int(stats, bytes, (int64_t)count->bytes);
    }
    qmp_add_int(stats, operations, (int64_t)(count->requests - count->errors));
    qmp_add_int(stats, failed, (int64_t)count->errors);
    qmp_add_int(stats, time, (int64_t)count->total_ns);
}

static json_object *describe_stats(const BlockBackend *blk)
{
    json_object *stats = json_object_new_object();
    BlockStats counts;

    block_get_stats(blk, &counts);
    add_count(stats, "rd", &counts.op[BLOCK_READ]);
    add_count(stats, "wr", &counts.op[BLOCK_WRITE]);
    add_count(stats, "flush", &counts.op[BLOCK_FLUSH]);
    add_count(stats, "unmap", &counts.op[BLOCK_DISCARD]);
    return stats;
}

bool qmp_cmd_query_blockstats(QmpCall *call, const QmpQueryBlockstatsArgs *args, QmpReply *reply,
                              GError **error)
{
    const GPtrArray *drives = backends_drives(call->vm->backends);

    (void)error;
    reply->value = json_object_new_array();
    for (guint i = 0; i < drives->len; i++) {
        const BlockBackend *blk = drives->pdata[i];
        json_object *entry;

        if (args->query_nodes && !blk->node_name) {
            continue;
        }
        entry = json_object_new_object();
        if (!args->query_nodes && blk->id) {
            qmp_add_string(entry, "device", blk->id);
        }
        if (blk->node_name) {
            qmp_add_string(entry, "node-name", blk->node_name);
        }
        json_object_object_add(entry, "stats", describe_stats(blk));
        json_object_array_add(reply->value, entry);
    }
    return true;
}

/* ---- changes ---- */

static BlockBackend *find_drive(const QmpCall *call, const QmpBlockResizeArgs *args, GError **error)
{
    const GPtrArray *drives = backends_drives(call->vm->backends);

    if ((args->device != NULL) == (args->node_name != NULL)) {
        return fail_null(error, VMM_ERROR_CONFIG,
                         "Need exactly one of the arguments 'device' and 'node-name'");
    }
    for (guint i = 0; i < drives->len; i++) {
        BlockBackend *blk = drives->pdata[i];

        if (args->device ? g_strcmp0(blk->id, args->device) == 0
                         : g_strcmp0(blk->node_name, args->node_name) == 0) {
            return blk;
        }
    }
    if (args->device) {
        qmp_fail(error, QMP_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", args->device);
    } else {
        qmp_fail(error, QMP_ERROR_GENERIC, "Cannot find device='' nor node-name='%s'",
                 args->node_name);
    }
    return NULL;
}

bool qmp_cmd_block_resize(QmpCall *call, const QmpBlockResizeArgs *args, QmpReply *reply,
                          GError **error)
{
    BlockBackend *blk = find_drive(call, args, error);

    (void)reply;
    if (!blk) {
        return false;
    }
    if (args->size < 0) {
        return fail(error, VMM_ERROR_CONFIG, "Parameter 'size' expects a >0 size");
    }
    return block_resize(blk, (uint64_t)args->size, error);
}
