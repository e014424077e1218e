/* SPDX-License-Identifier: Apache-2.0 */
#include "util/event.h"

#include <json-c/json_object.h>

void event_raise(const VmEventSink *sink, const char *name, json_object *data)
{
    if (sink && sink->raise) {
        sink->raise(sink->opaque, name, data);
    } else {
        json_object_put(data);
    }
}
