/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events and wait: what happens to the VM.
 */
#include "stencilctl/schema.h"
#include "stencilctl/verbs.h"

#include "util/error.h"
#include "util/text.h"

#include <string.h>

#define STATE_ENDED "ended" /* not one of the VM's: it is gone */

static bool has_ended(const GError *error)
{
    return g_error_matches(error, VMM_ERROR, VMM_ERROR_HOST);
}

Status verb_events(const Call *call, const Verb *verb)
{
    (void)verb;
    for (;;) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_object) event = client_next_event(call->client, CLIENT_NO_DEADLINE, &error);

        if (!event) {
            return has_ended(error) ? STATUS_OK : call_broken(call, error);
        }
        if (call->render->json) {
            render_json_line(event);
        } else {
            render_event(call->render, event);
        }
    }
}

/* ---- wait ---- */

typedef struct StateCheck {
    TextNearest nearest;
    bool any; /* the VM told some states */
    bool found;
} StateCheck;

static void check_state(void *opaque, const char *name)
{
    StateCheck *check = opaque;

    check->any = true;
    check->found = check->found || strcmp(check->nearest.word, name) == 0;
    text_nearest_offer(&check->nearest, name);
}

/* A misspelt state would never come. */
static Status validate_state(const Call *call, const char *state)
{
    g_autoptr(Schema) schema = NULL;
    StateCheck check = {.nearest = TEXT_NEAREST(state)};
    Status status = schema_load(call, &schema);

    if (status != STATUS_OK) {
        return status;
    }
    schema_each_word(schema, schema_member(schema, schema_result(schema, "query-status"), "status"),
                     check_state, &check);
    if (check.any && !check.found) {
        g_autofree char *hint = text_nearest_hint(&check.nearest);

        render_error(call->render, "there is no state '%s'%s", state, hint);
        return STATUS_USAGE;
    }
    return STATUS_OK;
}

static Status wait_end(const Call *call)
{
    for (;;) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_object) event = client_next_event(call->client, CLIENT_NO_DEADLINE, &error);

        if (!event) {
            return has_ended(error) ? STATUS_OK : call_broken(call, error);
        }
    }
}

/* Looks again after each event: every change of state raises one. */
static Status wait_state(const Call *call, const char *state)
{
    for (;;) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_object) value = NULL;
        g_autoptr(json_object) event = NULL;
        Status status = call_execute(call, "query-status", /* arguments= */ NULL, &value);

        if (status != STATUS_OK || g_strcmp0(json_text_at(value, "status"), state) == 0) {
            return status;
        }
        event = client_next_event(call->client, CLIENT_NO_DEADLINE, &error);
        if (!event) {
            return call_broken(call, error);
        }
    }
}

Status verb_wait(const Call *call, const Verb *verb)
{
    const char *state = call->words[0];
    Status status;

    (void)verb;
    if (strcmp(state, STATE_ENDED) == 0) {
        return wait_end(call);
    }
    status = validate_state(call, state);
    return status == STATUS_OK ? wait_state(call, state) : status;
}
