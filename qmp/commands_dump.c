/* SPDX-License-Identifier: Apache-2.0 */
/* The guest into a core file: where that goes, and how it gets there. */
#include "machine/guest_dump.h"
#include "qmp/generated.h"
#include "qmp/session.h"
#include "qmp/work.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define TARGET_FLAGS (O_WRONLY | O_CREAT | O_NONBLOCK) /* nobody waits for the reader of a pipe */

/* ---- where to ------------------------------------------------------------------------------- */

typedef struct DumpTarget {
    int fd;
    char *name;
    bool created; /* by us: a dump that fails removes it */

    /* A regular file: zeroes beyond its end are holes.  The worker's. */
    bool seeks;
    uint64_t position;
    uint64_t old_end;
} DumpTarget;

static void close_target(DumpTarget *target, bool keep)
{
    if (target->created && !keep) {
        unlink(target->name);
    }
    target->created = false;
    fd_close(&target->fd);
    g_clear_pointer(&target->name, g_free);
}

static void open_file(const QmpCall *call, const char *path, DumpTarget *target, GError **error)
{
    target->fd = fd_open(path, TARGET_FLAGS | O_EXCL, 0600, NULL);
    target->created = target->fd >= 0;
    if (target->fd < 0) {
        target->fd = fd_sets_open(call->vm->fd_sets, path, TARGET_FLAGS | O_TRUNC, 0600, error);
    }
}

/* A name that getfd gave, which is gone then, or the number of a set, which no such name begins with. */
static void open_fd(const QmpCall *call, const char *name, DumpTarget *target, GError **error)
{
    if (g_ascii_isdigit(name[0])) {
        g_autofree char *path = g_strconcat("/dev/fdset/", name, NULL);

        target->fd = fd_sets_open(call->vm->fd_sets, path, O_WRONLY | O_NONBLOCK, 0, error);
        return;
    }
    target->fd = qmp_session_take_named_fd(call->session, name);
    if (target->fd < 0) {
        fail(error, VMM_ERROR_STATE, "File descriptor named '%s' has not been found", name);
    } else if (!fd_set_nonblocking(target->fd, true, error)) {
        fd_close(&target->fd);
    }
}

/* What is appended to is written front to back, wherever the position is. */
static bool look_at_target(DumpTarget *target, GError **error)
{
    struct stat st;
    int flags = fcntl(target->fd, F_GETFL);
    off_t position = lseek(target->fd, 0, SEEK_CUR);

    if (flags < 0 || fstat(target->fd, &st) < 0) {
        return fail_errno(error, errno, "%s", target->name);
    }
    if ((flags & O_ACCMODE) == O_RDONLY) {
        return fail(error, VMM_ERROR_CONFIG, "%s: the descriptor cannot be written to",
                    target->name);
    }
    if (S_ISREG(st.st_mode) && !(flags & O_APPEND) && position >= 0) {
        target->seeks = true;
        target->position = (uint64_t)position;
        target->old_end = (uint64_t)st.st_size;
    }
    return true;
}

static bool open_target(const QmpCall *call, const char *protocol, DumpTarget *target,
                        GError **error)
{
    const char *colon = strchr(protocol, ':');

    *target = (DumpTarget){.fd = -1};
    if (g_str_has_prefix(protocol, "file:")) {
        open_file(call, colon + 1, target, error);
    } else if (g_str_has_prefix(protocol, "fd:")) {
        open_fd(call, colon + 1, target, error);
    } else {
        fail(error, VMM_ERROR_CONFIG, "parameter 'protocol' must start with 'file:' or 'fd:'");
    }
    if (target->fd < 0) {
        return false;
    }
    target->name = g_strdup(colon + 1);
    if (!look_at_target(target, error)) {
        close_target(target, /* keep= */ false);
        return false;
    }
    return true;
}

/* ---- the work ------------------------------------------------------------------------------- */

typedef struct Dump {
    GuestDump *dump; /* NULL: it has ended, and may be gone */
    DumpTarget target;
    QmpWork *work; /* the worker's */
} Dump;

static bool write_bytes(void *opaque, const void *data, size_t len, GError **error)
{
    Dump *d = opaque;
    DumpTarget *target = &d->target;

    if (qmp_work_is_cancelled(d->work)) {
        return fail(error, VMM_ERROR_STATE, "%s: cancelled", target->name);
    }
    target->position += len;
    return qmp_work_write(d->work, target->fd, target->name, data, len, error);
}

static bool write_zeroes(Dump *d, uint64_t len, GError **error)
{
    static const uint8_t zeroes[65536];

    while (len > 0) {
        uint64_t n = MIN(len, sizeof(zeroes));

        if (!write_bytes(d, zeroes, n, error)) {
            return false;
        }
        len -= n;
    }
    return true;
}

/* What is in the file already is overwritten; beyond it a file holds zeroes without being told. */
static bool skip_zeroes(void *opaque, uint64_t len, GError **error)
{
    Dump *d = opaque;
    DumpTarget *target = &d->target;
    uint64_t old = target->old_end > target->position ? target->old_end - target->position : 0;

    if (!target->seeks) {
        return write_zeroes(d, len, error);
    }
    if (!write_zeroes(d, MIN(len, old), error)) {
        return false;
    }
    if (qmp_work_is_cancelled(d->work)) {
        return fail(error, VMM_ERROR_STATE, "%s: cancelled", target->name);
    }
    len -= MIN(len, old);
    target->position += len;
    return lseek(target->fd, (off_t)len, SEEK_CUR) >= 0 ||
           fail_errno(error, errno, "%s: seek", target->name);
}

/* A hole at the end is none until the file is that long. */
static bool finish_file(const DumpTarget *target, GError **error)
{
    return !target->seeks || target->position <= target->old_end ||
           ftruncate(target->fd, (off_t)target->position) == 0 ||
           fail_errno(error, errno, "%s: make it %" G_GUINT64_FORMAT " bytes long", target->name,
                      target->position);
}

static bool dump_run(QmpWork *work, void *opaque, GError **error)
{
    Dump *d = opaque;
    const CoreSink sink = {.write = write_bytes, .skip = skip_zeroes, .opaque = d};

    d->work = work;
    return guest_dump_write(d->dump, &sink, error) && finish_file(&d->target, error);
}

static void dump_end(void *opaque, const GError *error)
{
    Dump *d = opaque;

    close_target(&d->target, /* keep= */ !error);
    guest_dump_end(g_steal_pointer(&d->dump), error);
}

static void dump_free(void *opaque)
{
    Dump *d = opaque;

    if (d->dump) {
        g_autoptr(GError) why = NULL;

        fail(&why, VMM_ERROR_STATE, "The dump did not come to its end");
        dump_end(d, why);
    }
    g_free(d);
}

static const QmpWorkOps dump_ops = {
    .thread_name = "dump",
    .run = dump_run,
    .end = dump_end,
    .free = dump_free,
};

/* ---- commands ------------------------------------------------------------------------------- */

static bool check_arguments(const QmpDumpGuestMemoryArgs *args, GError **error)
{
    if (args->paging) {
        return fail(error, VMM_ERROR_CONFIG,
                    "Parameter 'paging' is true: the guest's page tables are not walked, expected "
                    "false");
    }
    if (args->has_begin && !args->has_length) {
        return fail(error, VMM_ERROR_CONFIG, "Parameter 'length' is missing");
    }
    if (!args->has_begin && args->has_length) {
        return fail(error, VMM_ERROR_CONFIG, "Parameter 'begin' is missing");
    }
    return true;
}

bool qmp_cmd_dump_guest_memory(QmpCall *call, const QmpDumpGuestMemoryArgs *args, QmpReply *reply,
                               GError **error)
{
    const CoreFilter filter = {.begin = args->begin, .length = args->length};
    g_autoptr(GuestDump) dump = NULL;
    DumpTarget target;
    Dump *d;

    (void)reply;
    if (!check_arguments(args, error)) {
        return false;
    }
    dump = guest_dump_new(call->vm, args->has_begin ? &filter : NULL, error);
    if (!dump || !open_target(call, args->protocol, &target, error)) {
        return false;
    }
    d = g_new(Dump, 1);
    *d = (Dump){.dump = dump, .target = target};
    if (!guest_dump_begin(g_steal_pointer(&dump), error)) {
        close_target(&d->target, /* keep= */ false);
        g_free(d);
        return false;
    }
    return args->has_detach && args->detach ? qmp_work_start_detached(call, &dump_ops, d, error)
                                            : qmp_work_start(call, &dump_ops, d, error);
}

bool qmp_cmd_query_dump(QmpCall *call, QmpReply *reply, GError **error)
{
    const GuestDumpInfo info = guest_dump_info(call->vm);

    (void)error;
    reply->value = json_object_new_object();
    qmp_add_string(reply->value, "status", guest_dump_status_name(info.status));
    qmp_add_int(reply->value, "completed", (int64_t)info.completed);
    qmp_add_int(reply->value, "total", (int64_t)info.total);
    return true;
}

bool qmp_cmd_query_dump_guest_memory_capability(QmpCall *call, QmpReply *reply, GError **error)
{
    json_object *formats = json_object_new_array();

    (void)call;
    (void)error;
    json_object_array_add(formats, json_object_new_string("elf"));
    reply->value = json_object_new_object();
    json_object_object_add(reply->value, "formats", formats);
    return true;
}
