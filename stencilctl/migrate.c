/* SPDX-License-Identifier: Apache-2.0 */
/*
 * migrate and template: saving a VM while watching how far it is, and looking at what was saved.
 */
#include "stencilctl/progress.h"
#include "stencilctl/verbs.h"

#include "util/error.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FIRST_LOOK_NS INT64_C(1000000) /* and then twice as long each time */
#define LAST_LOOK_NS  INT64_C(100000000)

typedef enum {
    MIGRATION_UNDER_WAY,
    MIGRATION_DONE,
    MIGRATION_OVER, /* and nothing was saved */
} MigrationOutcome;

/* Every status that ends it; the others are steps on the way. */
static const struct {
    const char *status;
    MigrationOutcome outcome;
} outcomes[] = {
    {"completed", MIGRATION_DONE},
    {"failed", MIGRATION_OVER},
    {"cancelled", MIGRATION_OVER},
    {"none", MIGRATION_OVER},
};

static MigrationOutcome outcome_of(json_object *info)
{
    const char *status = json_text_at(info, "status");

    for (size_t i = 0; status && i < G_N_ELEMENTS(outcomes); i++) {
        if (strcmp(outcomes[i].status, status) == 0) {
            return outcomes[i].outcome;
        }
    }
    return status ? MIGRATION_UNDER_WAY : MIGRATION_OVER;
}

/* A folder becomes an address; the VM need not have our working directory. */
static char *target_uri(const char *target)
{
    size_t scheme = strspn(target, "abcdefghijklmnopqrstuvwxyz");
    g_autofree char *path = NULL;

    if (scheme > 0 && target[scheme] == ':' && !g_str_has_prefix(target, "file:")) {
        return g_strdup(target);
    }
    path = g_canonicalize_filename(g_str_has_prefix(target, "file:") ? target + strlen("file:")
                                                                     : target, /* relative_to= */
                                   NULL);
    return g_strconcat("file:", path, NULL);
}

static Status begin(const Call *call, const char *uri)
{
    json_object *arguments = json_object_new_object();
    g_autoptr(json_object) value = NULL;

    json_object_object_add(arguments, "uri", json_object_new_string(uri));
    return call_execute(call, "migrate", arguments, &value);
}

/* A VM that tells of it by events is looked at again at once, others after a while. */
static Status pause_a_little(const Call *call, int64_t pause_ns)
{
    g_autoptr(GError) error = NULL;
    int64_t until_ns = g_get_monotonic_time() * 1000 + pause_ns;
    g_autoptr(json_object) event = client_next_event(call->client, until_ns, &error);

    if (event || (g_error_matches(error, VMM_ERROR, VMM_ERROR_STATE) &&
                  until_ns < client_deadline_ns(call->client))) {
        return STATUS_OK;
    }
    return call_broken(call, error);
}

/* On success *ret_info is how it ended. */
static Status watch(const Call *call, Progress *progress, json_object **ret_info)
{
    for (int64_t pause_ns = FIRST_LOOK_NS;; pause_ns = MIN(2 * pause_ns, LAST_LOOK_NS)) {
        g_autoptr(json_object) info = NULL;
        Status status = call_execute(call, "query-migrate", /* arguments= */ NULL, &info);
        uint64_t total = json_uint_at(info, "ram.total");

        if (status != STATUS_OK) {
            return status;
        }
        if (outcome_of(info) != MIGRATION_UNDER_WAY) {
            *ret_info = g_steal_pointer(&info);
            return STATUS_OK;
        }
        progress_show(progress, total - MIN(json_uint_at(info, "ram.remaining"), total), total);
        status = pause_a_little(call, pause_ns);
        if (status != STATUS_OK) {
            return status;
        }
    }
}

static Status tell_outcome(const Call *call, json_object *info, const char *uri)
{
    const char *reason = json_text_at(info, "error-desc");
    const char *status = json_text_at(info, "status");
    g_autofree char *total = progress_size(json_uint_at(info, "ram.total"));
    g_autofree char *bytes = progress_size(json_uint_at(info, "ram.transferred"));

    if (call->render->json) {
        render_json(info);
    }
    if (outcome_of(info) != MIGRATION_DONE) {
        render_error(call->render, "the migration to %s is %s%s%s", uri, status ? status : "gone",
                     reason ? ": " : "", reason ? reason : "");
        return STATUS_REFUSED;
    }
    if (!call->render->json) {
        g_autofree char *safe = render_safe(uri);

        printf("%s: %s of RAM, %s written, in %.3f s; the VM stood still for %.3f s\n", safe, total,
               bytes, (double)json_uint_at(info, "total-time") / 1000,
               (double)json_uint_at(info, "downtime") / 1000);
    }
    return STATUS_OK;
}

Status verb_migrate(const Call *call, const Verb *verb)
{
    g_autofree char *uri = target_uri(call->words[0]);
    g_autoptr(json_object) info = NULL;
    Progress progress;
    Status status = begin(call, uri);

    (void)verb;
    if (status != STATUS_OK) {
        return status;
    }
    progress_begin(&progress, call->render);
    status = watch(call, &progress, &info);
    progress_end(&progress);
    return status == STATUS_OK ? tell_outcome(call, info, uri) : status;
}

/* ---- template ---- */

/* The stencil that was installed with us, else whichever the shell would find. */
static char *find_stencil(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", /* error= */ NULL);
    g_autofree char *folder = self ? g_path_get_dirname(self) : NULL;
    g_autofree char *beside = folder ? g_build_filename(folder, "stencil", NULL) : NULL;

    return beside && access(beside, X_OK) == 0 ? g_steal_pointer(&beside) : g_strdup("stencil");
}

/* Only stencil knows the format: it takes our place. */
Status verb_template(const Call *call, const Verb *verb)
{
    g_autofree char *stencil = find_stencil();
    char option[] = "-dump-state";
    char *command[] = {stencil, option, call->words[1], NULL};

    if (strcmp(call->words[0], "show") != 0) {
        render_error(call->render, "unknown word '%s'; expected: %s %s", call->words[0], verb->name,
                     verb->form);
        return STATUS_USAGE;
    }
    fflush(stdout);
    execvp(stencil, command);
    render_error(call->render, "cannot run %s: %s", stencil, g_strerror(errno));
    return STATUS_REFUSED;
}
