/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that clients pass. */
#include "qmp/generated.h"
#include "qmp/session.h"
#include "util/error.h"

bool qmp_cmd_getfd(QmpCall *call, const QmpGetfdArgs *args, QmpReply *reply, GError **error)
{
    int fd = qmp_session_take_fd(call->session);

    (void)reply;
    if (fd < 0) {
        return fail(error, VMM_ERROR_STATE, "No file descriptor supplied via SCM_RIGHTS");
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
