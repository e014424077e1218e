/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/backends.h"

#include "devices/backend/block_config.h"
#include "devices/backend/chardev_kinds.h"
#include "machine/monitors.h"
#include "util/error.h"
#include "util/lock.h"
#include "util/log.h"

#include <json-c/json_object.h>

typedef struct Drive {
    BlockBackend *block;
    char *user; /* id of the device that has it, or NULL */
} Drive;

struct Backends {
    /* fixed after creation */
    const VmConfig *config;
    BackendsHost host;
    GPtrArray *blocks;    /* of BlockBackend, owned by drives */
    GPtrArray *drives;    /* of Drive */
    GPtrArray *chardevs;  /* of Chardev */
    GPtrArray *iothreads; /* of Loop, named by its id */

    /* main thread only */
    bool expects_loop;
    bool is_started;

    Mutex lock;
    Cond loop_made;
    /* guarded by lock */
    Loop *shared_loop; /* the main loop, if it could not be made */
};

static void drive_free(Drive *drive)
{
    block_close(drive->block);
    g_free(drive->user);
    g_free(drive);
}

static void raise_block_error(void *opaque, const BlockErrorInfo *info)
{
    const Backends *backends = opaque;

    event_raise(backends->host.events, "BLOCK_IO_ERROR", block_error_event_data(info));
    if (info->action == BLOCK_ERROR_STOP) {
        backends->host.stop_on_disk_error(backends->host.opaque);
    }
}

static bool open_drive(Backends *backends, const PropTable *table, const PropBag *bag,
                       GError **error)
{
    const BlockErrorHook hook = {.raise = raise_block_error, .opaque = backends};
    DriveConfig config = {0};
    BlockBackend *block = NULL;

    if (!props_apply(table, bag, &config, error)) {
        return false;
    }
    config.fd_sets = backends->host.fd_sets;
    block = block_open(&config, &hook, error);
    props_clear(table, &config);
    if (!block) {
        return false;
    }

    Drive *drive = g_new0(Drive, 1);

    drive->block = block;
    g_ptr_array_add(backends->drives, drive);
    g_ptr_array_add(backends->blocks, block);
    return true;
}

static bool open_drives(Backends *backends, GError **error)
{
    const GPtrArray *drives = backends->config->drives;
    const GPtrArray *blockdevs = backends->config->blockdevs;

    for (guint i = 0; i < drives->len; i++) {
        if (!open_drive(backends, &drive_props, drives->pdata[i], error)) {
            return false;
        }
    }
    for (guint i = 0; i < blockdevs->len; i++) {
        if (!open_drive(backends, &blockdev_props, blockdevs->pdata[i], error)) {
            return false;
        }
    }
    return true;
}

static bool open_chardevs(Backends *backends, GError **error)
{
    const GPtrArray *bags = backends->config->chardevs;

    for (guint i = 0; i < bags->len; i++) {
        Chardev *chr;

        if (monitor_owns_chardev(backends->config, bags->pdata[i])) {
            continue;
        }
        chr = chardev_new(bags->pdata[i], NULL, backends->host.loop, backends->host.fd_sets, error);
        if (!chr) {
            return false;
        }
        g_ptr_array_add(backends->chardevs, chr);
    }
    return true;
}

static bool start_iothreads(Backends *backends, GError **error)
{
    const GPtrArray *objects = backends->config->objects;

    for (guint i = 0; i < objects->len; i++) {
        const PropBag *bag = objects->pdata[i];
        Loop *loop;

        if (strcmp(prop_bag_type(bag), "iothread") != 0) {
            continue;
        }
        loop = loop_new_thread(prop_bag_id(bag), error);
        if (!loop) {
            return false;
        }
        g_ptr_array_add(backends->iothreads, loop);
    }
    return true;
}

Backends *backends_new(const VmConfig *config, const BackendsHost *host, GError **error)
{
    g_autoptr(Backends) backends = g_new0(Backends, 1);

    backends->config = config;
    backends->host = *host;
    backends->blocks = g_ptr_array_new();
    backends->drives = g_ptr_array_new_with_free_func((GDestroyNotify)drive_free);
    backends->chardevs = g_ptr_array_new_with_free_func((GDestroyNotify)chardev_free);
    backends->iothreads = g_ptr_array_new_with_free_func((GDestroyNotify)loop_free);
    mutex_init(&backends->lock);
    cond_init(&backends->loop_made);
    if (!open_chardevs(backends, error) || !open_drives(backends, error) ||
        !start_iothreads(backends, error)) {
        return NULL;
    }
    return g_steal_pointer(&backends);
}

void backends_free(Backends *backends)
{
    if (!backends) {
        return;
    }
    g_ptr_array_unref(backends->drives);
    g_ptr_array_unref(backends->blocks);
    g_ptr_array_unref(backends->iothreads);
    if (backends->shared_loop != backends->host.loop) {
        loop_free(backends->shared_loop);
    }
    g_ptr_array_unref(backends->chardevs);
    cond_fini(&backends->loop_made);
    mutex_fini(&backends->lock);
    g_free(backends);
}

static Drive *find_drive(const Backends *backends, const char *id)
{
    for (guint i = 0; i < backends->drives->len; i++) {
        Drive *drive = backends->drives->pdata[i];

        if (g_strcmp0(drive->block->id, id) == 0 || g_strcmp0(drive->block->node_name, id) == 0) {
            return drive;
        }
    }
    return NULL;
}

BlockBackend *backends_take_drive(Backends *backends, const char *id, const char *user,
                                  GError **error)
{
    Drive *drive = find_drive(backends, id);

    if (!drive) {
        return fail_null(error, VMM_ERROR_CONFIG, "there is no drive '%s'", id);
    }
    if (drive->user) {
        return fail_null(error, VMM_ERROR_CONFIG, "drive '%s' belongs to device '%s'", id,
                         drive->user);
    }
    drive->user = g_strdup(user);
    return drive->block;
}

void backends_return_drive(Backends *backends, const BlockBackend *block)
{
    for (guint i = 0; i < backends->drives->len; i++) {
        Drive *drive = backends->drives->pdata[i];

        if (drive->block == block) {
            g_clear_pointer(&drive->user, g_free);
        }
    }
}

Chardev *backends_find_chardev(const Backends *backends, const char *id, GError **error)
{
    for (guint i = 0; i < backends->chardevs->len; i++) {
        Chardev *chr = backends->chardevs->pdata[i];

        if (strcmp(chardev_id(chr), id) == 0) {
            return chr;
        }
    }
    return fail_null(error, VMM_ERROR_CONFIG, "there is no chardev '%s'", id);
}

Loop *backends_find_iothread(const Backends *backends, const char *id, GError **error)
{
    for (guint i = 0; i < backends->iothreads->len; i++) {
        Loop *loop = backends->iothreads->pdata[i];

        if (strcmp(loop_name(loop), id) == 0) {
            return loop;
        }
    }
    return fail_null(error, VMM_ERROR_CONFIG, "there is no iothread '%s'", id);
}

static void make_loop_locked(Backends *backends) REQUIRES(backends->lock)
{
    g_autoptr(GError) error = NULL;

    if (backends->shared_loop) {
        return;
    }
    backends->shared_loop = loop_new_thread("io", &error);
    if (!backends->shared_loop) {
        log_line(LOG_LEVEL_ERROR, "%s; disks are served by the main thread", error->message);
        backends->shared_loop = backends->host.loop;
    }
    cond_broadcast(&backends->loop_made);
}

void backends_expect_loop(Backends *backends)
{
    backends->expects_loop = true;
    if (backends->is_started) {
        backends_start_loop(backends);
    }
}

void backends_start_loop(Backends *backends)
{
    backends->is_started = true;
    if (backends->expects_loop) {
        mutex_lock(&backends->lock);
        make_loop_locked(backends);
        mutex_unlock(&backends->lock);
    }
}

Loop *backends_shared_loop(Backends *backends)
{
    Loop *loop;

    mutex_lock(&backends->lock);
    if (loop_is_current(backends->host.loop)) {
        make_loop_locked(backends);
    }
    while (!backends->shared_loop) {
        cond_wait(&backends->loop_made, &backends->lock);
    }
    loop = backends->shared_loop;
    mutex_unlock(&backends->lock);
    return loop;
}

const GPtrArray *backends_drives(const Backends *backends)
{
    return backends->blocks;
}

const GPtrArray *backends_chardevs(const Backends *backends)
{
    return backends->chardevs;
}

const GPtrArray *backends_iothreads(const Backends *backends)
{
    return backends->iothreads;
}
