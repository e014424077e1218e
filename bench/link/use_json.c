/* SPDX-License-Identifier: Apache-2.0 */
/* json-c: one reply, as QMP makes them. */
#include "bench/link/probe.h"

#include <json-c/json.h>

int probe_json(void)
{
    json_object *reply = json_object_new_object();
    int made = json_object_object_add(reply, "return", json_object_new_int(1)) == 0;

    return json_object_put(reply) == 1 && made;
}
