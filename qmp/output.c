/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp/output.h"

#include "util/fd.h"

#include <fcntl.h>
#include <unistd.h>

#define OUTPUT_FLAGS (O_WRONLY | O_CREAT | O_NONBLOCK)

bool qmp_output_open(const QmpCall *call, const char *path, QmpOutput *ret_output, GError **error)
{
    QmpOutput output = {.fd = fd_open(path, OUTPUT_FLAGS | O_EXCL, 0600, NULL)};

    output.created = output.fd >= 0;
    if (output.fd < 0) {
        output.fd = fd_sets_open(call->vm->fd_sets, path, OUTPUT_FLAGS | O_TRUNC, 0600, error);
    }
    if (output.fd < 0) {
        return false;
    }
    output.name = g_strdup(path);
    *ret_output = output;
    return true;
}

void qmp_output_close(QmpOutput *output, bool keep)
{
    if (output->created && !keep) {
        unlink(output->name);
    }
    output->created = false;
    fd_close(&output->fd);
    g_clear_pointer(&output->name, g_free);
}
