/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/block_config.h"

#include "devices/backend/block_throttle.h"
#include "util/error.h"

static const char *const bus_names[] = {"none", NULL};
static const char *const media_names[] = {"disk", "cdrom", NULL};
static const char *const cache_names[] = {"writeback",  "none",   "writethrough",
                                          "directsync", "unsafe", NULL};
static const char *const aio_names[] = {"io_uring", "threads", "off", "native", NULL};
static const char *const discard_names[] = {"ignore", "unmap", NULL};
static const char *const detect_zeroes_names[] = {"off", "on", "unmap", NULL};
static const char *const locking_names[] = {"auto", "on", "off", NULL};
static const char *const error_names[] = {"report", "ignore", "stop", "enospc", NULL};

/* The last of aio_names: what QEMU calls Linux' older interface is the ring here. */
#define AIO_NATIVE    3u

#define DISCARD_UNMAP 1u

/* clang-format off */
#define OPTION(name_, type_, member, ...) \
    {.name = (name_), .type = (type_), .offset = offsetof(DriveConfig, member), __VA_ARGS__}

#define LIMIT(name_, kind, field, help_) \
    {.name = "throttling." name_, .type = PROP_UINT, .max = THROTTLE_MAX, \
     .offset = offsetof(DriveConfig, throttle.limit[kind].field), .help = (help_)}

/* Three options for one kind of limit. */
#define LIMITS(name_, kind, what) \
    LIMIT(name_, kind, rate, what " a second"), \
    LIMIT(name_ "-max", kind, burst, what " a second in a burst"), \
    LIMIT(name_ "-max-length", kind, burst_seconds, "how many seconds a burst may last")

#define THROTTLE_OPTIONS \
    LIMITS("bps-total", THROTTLE_BPS_TOTAL, "bytes"), \
    LIMITS("bps-read", THROTTLE_BPS_READ, "bytes read"), \
    LIMITS("bps-write", THROTTLE_BPS_WRITE, "bytes written"), \
    LIMITS("iops-total", THROTTLE_IOPS_TOTAL, "requests"), \
    LIMITS("iops-read", THROTTLE_IOPS_READ, "reads"), \
    LIMITS("iops-write", THROTTLE_IOPS_WRITE, "writes"), \
    OPTION("throttling.iops-size", PROP_SIZE, throttle.iops_size, \
           .help = "count a larger request as several of this size")

#define COMMON_OPTIONS \
    OPTION("id", PROP_STRING, id, .help = "name for -device and QMP"), \
    OPTION("node-name", PROP_STRING, node_name, .max = 31, .help = "name for QMP"), \
    OPTION("cache.direct", PROP_BOOL, direct, .alias = "direct", \
           .given_offset = offsetof(DriveConfig, direct_given), \
           .help = "bypass the host's page cache (O_DIRECT)"), \
    OPTION("cache.no-flush", PROP_BOOL, no_flush, \
           .given_offset = offsetof(DriveConfig, no_flush_given), \
           .help = "ignore the guest's flushes: a host crash loses data"), \
    OPTION("discard", PROP_ENUM, discard, .names = discard_names, \
           .help = "what a guest's discard does"), \
    OPTION("detect-zeroes", PROP_ENUM, detect_zeroes, .names = detect_zeroes_names, \
           .help = "write zeros as holes"), \
    OPTION("auto-read-only", PROP_BOOL, read_only, .ignored = true, \
           .help = "an image is opened as read-only says"), \
    OPTION("rerror", PROP_ENUM, read_error, .names = error_names, .default_text = "report", \
           .help = "what a failed read does"), \
    OPTION("werror", PROP_ENUM, write_error, .names = error_names, .default_text = "enospc", \
           .help = "what a failed write does")

static const PropDesc drive_descs[] = {
    OPTION("file", PROP_STRING, file, .alias = "file.filename", .required = true,
           .help = "raw image or block device of the host"),
    OPTION("format", PROP_STRING, format, .default_text = "raw", .help = "format of the image: raw"),
    OPTION("if", PROP_ENUM, bus, .names = bus_names, .help = "a -device names the drive"),
    OPTION("media", PROP_ENUM, media, .names = media_names, .help = "cdrom is read-only"),
    OPTION("readonly", PROP_BOOL, read_only, .alias = "read-only", .help = "refuse writes"),
    OPTION("cache", PROP_ENUM, cache, .names = cache_names,
           .help = "cache.direct, .no-flush and .writeback in one word"),
    OPTION("cache.writeback", PROP_BOOL, writeback,
           .given_offset = offsetof(DriveConfig, writeback_given),
           .help = "the guest sees a disk with a write cache"),
    OPTION("aio", PROP_ENUM, aio, .names = aio_names, .alias = "file.aio",
           .help = "how requests reach the host; without io_uring there, by threads"),
    OPTION("file.locking", PROP_ENUM, locking, .names = locking_names, .alias = "locking",
           .help = "keep other processes from writing to the image"),
    OPTION("snapshot", PROP_BOOL, snapshot, .help = "throw away what the guest writes"),
    COMMON_OPTIONS,
    THROTTLE_OPTIONS,
};

static const PropDesc blockdev_descs[] = {
    OPTION("driver", PROP_STRING, format, .default_text = "raw",
           .help = "raw, or file or host_device, which come to the same"),
    OPTION("file.filename", PROP_STRING, file, .alias = "filename", .required = true,
           .help = "raw image or block device of the host"),
    OPTION("file.driver", PROP_STRING, format, .ignored = true,
           .help = "file or host_device: found out from the file"),
    OPTION("read-only", PROP_BOOL, read_only, .alias = "readonly", .help = "refuse writes"),
    OPTION("file.aio", PROP_ENUM, aio, .names = aio_names, .alias = "aio",
           .help = "how requests reach the host; without io_uring there, by threads"),
    OPTION("file.locking", PROP_ENUM, locking, .names = locking_names, .alias = "locking",
           .help = "keep other processes from writing to the image"),
    COMMON_OPTIONS,
    THROTTLE_OPTIONS,
};
/* clang-format on */

const PropTable drive_props = PROP_TABLE("drive", drive_descs, DriveConfig);
const PropTable blockdev_props = PROP_TABLE("blockdev", blockdev_descs, DriveConfig);

typedef struct CacheMode {
    bool direct;
    bool no_flush;
    bool writeback;
} CacheMode;

static const CacheMode cache_modes[] = {
    [BLOCK_CACHE_WRITEBACK] = {.writeback = true},
    [BLOCK_CACHE_NONE] = {.direct = true, .writeback = true},
    [BLOCK_CACHE_WRITETHROUGH] = {0},
    [BLOCK_CACHE_DIRECTSYNC] = {.direct = true},
    [BLOCK_CACHE_UNSAFE] = {.no_flush = true, .writeback = true},
};

static CacheMode config_cache(const DriveConfig *config)
{
    CacheMode mode = cache_modes[config->cache];

    mode.direct = config->direct_given ? config->direct : mode.direct;
    mode.no_flush = config->no_flush_given ? config->no_flush : mode.no_flush;
    mode.writeback = config->writeback_given ? config->writeback : mode.writeback;
    return mode;
}

/* What QEMU calls the format, and the drivers of -blockdev that need no format. */
static const char *const known_formats[] = {"raw", "auto", "file", "host_device", NULL};

static bool check_config(const DriveConfig *config, GError **error)
{
    if (config->format && !g_strv_contains(known_formats, config->format)) {
        return fail(error, VMM_ERROR_CONFIG, "format '%s' is not supported, only raw is",
                    config->format);
    }
    if (config->snapshot) {
        return fail(error, VMM_ERROR_CONFIG,
                    "snapshot=on is not supported yet; use a copy of the image");
    }
    return throttle_check_config(&config->throttle, error);
}

static BlockBackend *open_chain(const DriveConfig *config, GError **error)
{
    CacheMode cache = config_cache(config);

    if (!check_config(config, error)) {
        return NULL;
    }

    BlockFileConfig file = {
        .path = config->file,
        .fd_sets = config->fd_sets,
        .read_only = config->read_only || config->media == BLOCK_MEDIA_CDROM,
        .direct = cache.direct,
        .no_flush = cache.no_flush,
        .discard = config->discard == DISCARD_UNMAP,
        .aio = config->aio == AIO_NATIVE ? BLOCK_AIO_URING : (BlockAio)config->aio,
        .detect_zeroes = (BlockDetectZeroes)config->detect_zeroes,
        .locking = (BlockLocking)config->locking,
    };
    BlockBackend *node = block_file_open(&file, error);

    if (!node) {
        return NULL;
    }
    node->limits.cached = cache.writeback;
    return block_throttle_new(node, &config->throttle);
}

BlockBackend *block_open(const DriveConfig *config, const BlockErrorHook *hook, GError **error)
{
    const char *name = config->id ? config->id : config->node_name;
    BlockBackend *blk = open_chain(config, error);

    if (!blk) {
        g_prefix_error(error, "drive %s: ", name ? name : config->file);
        return NULL;
    }
    blk->id = g_strdup(name ? name : config->file);
    blk->node_name = g_strdup(config->node_name);
    blk->file_name = g_strdup(config->file);
    blk->on_read_error = (BlockErrorPolicy)config->read_error;
    blk->on_write_error = (BlockErrorPolicy)config->write_error;
    blk->error_hook = hook ? *hook : (BlockErrorHook){0};
    return blk;
}
