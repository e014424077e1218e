/* SPDX-License-Identifier: Apache-2.0 */
/* Ways out when something hangs; both commands may be sent out of band. */
#include "machine/backends.h"
#include "qmp/generated.h"
#include "qmp/session.h"
#include "qmp/work.h"

bool qmp_cmd_query_yank(QmpCall *call, QmpReply *reply, GError **error)
{
    const GPtrArray *chardevs = backends_chardevs(call->vm->backends);

    (void)error;
    reply->value = json_object_new_array();
    for (guint i = 0; i < chardevs->len; i++) {
        const Chardev *chr = chardevs->pdata[i];

        if (chardev_can_hang_up(chr)) {
            json_object *entry = json_object_new_object();

            qmp_add_string(entry, "type", "chardev");
            qmp_add_string(entry, "id", chardev_id(chr));
            json_object_array_add(reply->value, entry);
        }
    }
    if (qmp_session_work(call->session)) {
        json_object *entry = json_object_new_object();

        qmp_add_string(entry, "type", "command");
        json_object_array_add(reply->value, entry);
    }
    return true;
}

static Chardev *find_chardev(const QmpCall *call, const QmpYankInstance *instance)
{
    Chardev *chr = backends_find_chardev(call->vm->backends, instance->u.chardev.id, NULL);

    return chr && chardev_can_hang_up(chr) ? chr : NULL;
}

static bool check_instance(const QmpCall *call, const QmpYankInstance *instance, GError **error)
{
    if (instance->type == QMP_YANK_INSTANCE_TYPE_COMMAND) {
        return qmp_session_work(call->session) ||
               qmp_fail(error, QMP_ERROR_DEVICE_NOT_FOUND, "No command is under way");
    }
    return find_chardev(call, instance) ||
           qmp_fail(error, QMP_ERROR_DEVICE_NOT_FOUND, "Instance 'chardev %s' not found",
                    instance->u.chardev.id);
}

bool qmp_cmd_yank(QmpCall *call, const QmpYankArgs *args, QmpReply *reply, GError **error)
{
    (void)reply;
    for (size_t i = 0; i < args->instances.count; i++) {
        if (!check_instance(call, &args->instances.items[i], error)) {
            return false;
        }
    }
    for (size_t i = 0; i < args->instances.count; i++) {
        const QmpYankInstance *instance = &args->instances.items[i];

        if (instance->type == QMP_YANK_INSTANCE_TYPE_COMMAND) {
            qmp_work_cancel(qmp_session_work(call->session));
        } else {
            chardev_hang_up(find_chardev(call, instance));
        }
    }
    return true;
}
