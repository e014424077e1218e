/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QMP_DISPATCH_H
#define QMP_DISPATCH_H

/* From one JSON value to one answer: the envelope is checked, the command found and run. */

#include "qmp/reply.h"

/* True if the request asks not to wait for those before it. */
bool qmp_dispatch_is_oob(json_object *request);

/* Appends the answer to out, behind the events that the command has caused; not if there is
 * call->work now, which answers later.  request stays the caller's; NULL is JSON's null. */
void qmp_dispatch(QmpCall *call, json_object *request, GString *out, bool pretty);

#endif
