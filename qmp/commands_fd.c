/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that clients pass: by name for one session, and in sets for whoever opens a path. */
#include "qmp/generated.h"
#include "qmp/session.h"
#include "util/error.h"
#include "util/fd.h"

#include <inttypes.h>

static int take_fd(const QmpCall *call, GError **error)
{
    int fd = qmp_session_take_fd(call->session);

    if (fd < 0) {
        fail(error, VMM_ERROR_STATE, "No file descriptor supplied via SCM_RIGHTS");
    }
    return fd;
}

bool qmp_cmd_getfd(QmpCall *call, const QmpGetfdArgs *args, QmpReply *reply, GError **error)
{
    int fd = take_fd(call, error);

    (void)reply;
    if (fd < 0) {
        return false;
    }
    qmp_session_name_fd(call->session, args->fdname, fd);
    if (g_ascii_isdigit(args->fdname[0])) {
        qmp_session_close_fd(call->session, args->fdname);
        return fail(error, VMM_ERROR_CONFIG,
                    "Parameter 'fdname' expects a name not starting with a digit");
    }
    return true;
}

bool qmp_cmd_closefd(QmpCall *call, const QmpClosefdArgs *args, QmpReply *reply, GError **error)
{
    (void)reply;
    return qmp_session_close_fd(call->session, args->fdname) ||
           fail(error, VMM_ERROR_STATE, "File descriptor named '%s' not found", args->fdname);
}

bool qmp_cmd_add_fd(QmpCall *call, const QmpAddFdArgs *args, QmpReply *reply, GError **error)
{
    auto_fd int fd = take_fd(call, error);
    const FdSetMember *member;

    if (fd < 0) {
        return false;
    }
    if (args->has_fdset_id && args->fdset_id < 0) {
        return fail(error, VMM_ERROR_CONFIG,
                    "Parameter 'fdset-id' expects a non-negative value (got: %" PRId64 ")",
                    args->fdset_id);
    }
    member = fd_sets_add(call->vm->fd_sets, args->has_fdset_id ? args->fdset_id : -1, fd_steal(&fd),
                         args->opaque, error);
    if (!member) {
        return false;
    }
    reply->value = json_object_new_object();
    qmp_add_int(reply->value, "fd", member->fd);
    qmp_add_int(reply->value, "fdset-id", member->set);
    return true;
}

bool qmp_cmd_remove_fd(QmpCall *call, const QmpRemoveFdArgs *args, QmpReply *reply, GError **error)
{
    bool is_number = !args->has_fd || (args->fd >= 0 && args->fd <= INT_MAX);

    (void)reply;
    if (is_number &&
        fd_sets_remove(call->vm->fd_sets, args->fdset_id, args->has_fd ? (int)args->fd : -1)) {
        return true;
    }
    if (args->has_fd) {
        return fail(error, VMM_ERROR_STATE,
                    "File descriptor named 'fdset-id:%" PRId64 ", fd:%" PRId64 "' not found",
                    args->fdset_id, args->fd);
    }
    return fail(error, VMM_ERROR_STATE, "File descriptor named 'fdset-id:%" PRId64 "' not found",
                args->fdset_id);
}

static json_object *describe_member(const FdSetMember *member)
{
    json_object *info = json_object_new_object();

    qmp_add_int(info, "fd", member->fd);
    if (member->opaque) {
        qmp_add_string(info, "opaque", member->opaque);
    }
    return info;
}

bool qmp_cmd_query_fdsets(QmpCall *call, QmpReply *reply, GError **error)
{
    const FdSets *sets = call->vm->fd_sets;
    json_object *fds = NULL;
    int64_t set = -1;

    (void)error;
    reply->value = json_object_new_array();
    for (size_t i = 0; i < fd_sets_count(sets); i++) {
        const FdSetMember *member = fd_sets_get(sets, i);

        if (member->set != set) {
            json_object *entry = json_object_new_object();

            set = member->set;
            fds = json_object_new_array();
            json_object_object_add(entry, "fds", fds);
            qmp_add_int(entry, "fdset-id", set);
            json_object_array_add(reply->value, entry);
        }
        json_object_array_add(fds, describe_member(member));
    }
    return true;
}
