/* SPDX-License-Identifier: Apache-2.0 */
/* The guest into a core file: where that goes, and how it gets there. */
#include "machine/guest_dump.h"
#include "qmp/generated.h"
#include "qmp/output.h"
#include "qmp/session.h"
#include "qmp/work.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- where to ------------------------------------------------------------------------------- */

typedef struct DumpTarget {
    QmpOutput out;

    /* A regular file: zeroes beyond its end are holes.  The worker's. */
    bool seeks;
    uint64_t position;
    uint64_t old_end;
} DumpTarget;

/* A name that getfd gave, which is gone then, or the number of a set, which no such name begins with. */
static bool open_fd(const QmpCall *call, const char *name, QmpOutput *out, GError **error)
{
    *out = (QmpOutput){.fd = -1};
    if (g_ascii_isdigit(name[0])) {
        g_autofree char *path = g_strconcat("/dev/fdset/", name, NULL);

        out->fd = fd_sets_open(call->vm->fd_sets, path, O_WRONLY | O_NONBLOCK, 0, error);
    } else {
        out->fd = qmp_session_take_named_fd(call->session, name);
        if (out->fd < 0) {
            fail(error, VMM_ERROR_STATE, "File descriptor named '%s' has not been found", name);
        } else if (!fd_set_nonblocking(out->fd, true, error)) {
            fd_close(&out->fd);
        }
    }
    if (out->fd < 0) {
        return false;
    }
    out->name = g_strdup(name);
    return true;
}

/* What is appended to is written front to back, wherever the position is. */
static bool look_at_target(DumpTarget *target, GError **error)
{
    const QmpOutput *out = &target->out;
    struct stat st;
    int flags = fcntl(out->fd, F_GETFL);
    off_t position = lseek(out->fd, 0, SEEK_CUR);

    if (flags < 0 || fstat(out->fd, &st) < 0) {
        return fail_errno(error, errno, "%s", out->name);
    }
    if ((flags & O_ACCMODE) == O_RDONLY) {
        return fail(error, VMM_ERROR_CONFIG, "%s: the descriptor cannot be written to", out->name);
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
    bool ok;

    *target = (DumpTarget){0};
    if (g_str_has_prefix(protocol, "file:")) {
        ok = qmp_output_open(call, colon + 1, &target->out, error);
    } else if (g_str_has_prefix(protocol, "fd:")) {
        ok = open_fd(call, colon + 1, &target->out, error);
    } else {
        ok = fail(error, VMM_ERROR_CONFIG, "parameter 'protocol' must start with 'file:' or 'fd:'");
    }
    if (ok && !look_at_target(target, error)) {
        qmp_output_close(&target->out, /* keep= */ false);
        ok = false;
    }
    return ok;
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
        return fail(error, VMM_ERROR_STATE, "%s: cancelled", target->out.name);
    }
    target->position += len;
    return qmp_work_write(d->work, target->out.fd, target->out.name, data, len, error);
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
        return fail(error, VMM_ERROR_STATE, "%s: cancelled", target->out.name);
    }
    len -= MIN(len, old);
    target->position += len;
    return lseek(target->out.fd, (off_t)len, SEEK_CUR) >= 0 ||
           fail_errno(error, errno, "%s: seek", target->out.name);
}

/* A hole at the end is none until the file is that long. */
static bool finish_file(const DumpTarget *target, GError **error)
{
    return !target->seeks || target->position <= target->old_end ||
           ftruncate(target->out.fd, (off_t)target->position) == 0 ||
           fail_errno(error, errno, "%s: make it %" G_GUINT64_FORMAT " bytes long",
                      target->out.name, target->position);
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

    qmp_output_close(&d->target.out, /* keep= */ !error);
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
        qmp_output_close(&d->target.out, /* keep= */ false);
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
