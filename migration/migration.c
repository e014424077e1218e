/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/migration.h"

#include "migration/uri.h"
#include "util/error.h"
#include "util/log.h"
#include "util/thread.h"

#include <json-c/json_object.h>

#define NS_PER_MS 1000000

struct Migration {
    /* fixed after creation */
    Loop *loop;
    const VmEventSink *events;
    const MigrationVm *vm;
    void *opaque;

    MigrationParams params;
    MigrationStatus status;
    bool incoming;
    char *error;

    /* loop_now_ns() of each; 0: not yet */
    int64_t began;
    int64_t froze;
    int64_t ended;

    /* Of a save under way, and the figures of the last one. */
    TemplateSave *save;
    GThread *worker;
    bool frozen;
    bool saved;           /* written by the worker, read after it is joined */
    GError *worker_error; /* the same */
    MigrationInfo figures;
};

Migration *migration_new(Loop *loop, const VmEventSink *events, const MigrationVm *vm, void *opaque)
{
    Migration *m = g_new0(Migration, 1);

    m->loop = loop;
    m->events = events;
    m->vm = vm;
    m->opaque = opaque;
    m->params = migration_params_default();
    return m;
}

MigrationParams *migration_params(Migration *m)
{
    return &m->params;
}

bool migration_is_under_way(const Migration *m)
{
    return migration_status_is_under_way(m->status);
}

static void enter(Migration *m, MigrationStatus status)
{
    json_object *data;

    g_assert(migration_status_may_follow(m->status, status));
    m->status = status;
    if (!m->params.cap[MIGRATION_CAP_EVENTS]) {
        return;
    }
    data = json_object_new_object();
    json_object_object_add(data, "status", json_object_new_string(migration_status_name(status)));
    event_raise(m->events, "MIGRATION", data);
}

static void raise_pass(const Migration *m, int pass)
{
    json_object *data;

    if (!m->params.cap[MIGRATION_CAP_EVENTS]) {
        return;
    }
    data = json_object_new_object();
    json_object_object_add(data, "pass", json_object_new_int(pass));
    event_raise(m->events, "MIGRATION_PASS", data);
}

static void begin(Migration *m, bool incoming)
{
    g_clear_pointer(&m->error, g_free);
    m->incoming = incoming;
    m->began = loop_now_ns();
    m->froze = m->ended = 0;
    m->figures = (MigrationInfo){0};
    enter(m, MIGRATION_SETUP);
}

static void end(Migration *m, MigrationStatus status, const GError *error)
{
    m->ended = loop_now_ns();
    g_free(m->error);
    m->error = error ? g_strdup(error->message) : NULL;
    enter(m, status);
}

/* ---- figures -------------------------------------------------------------------------------- */

static void take_phases(const TemplateProgress *progress, MigrationPhases *phases)
{
    phases->memory_ns = atomic_load(&progress->memory_ns);
    phases->state_ns = atomic_load(&progress->state_ns);
    phases->publish_ns = atomic_load(&progress->publish_ns);
    phases->memory_bytes = atomic_load(&progress->normal) * MIGRATION_PAGE_BYTES;
    phases->state_bytes = atomic_load(&progress->state_bytes);
}

static void take_figures(const Migration *m, MigrationInfo *info)
{
    const TemplateProgress *progress = m->save ? template_save_progress(m->save) : NULL;

    if (progress) {
        info->ram_total = atomic_load(&progress->total);
        info->ram_transferred = atomic_load(&progress->transferred);
        info->zero_pages = atomic_load(&progress->duplicate);
        info->written_pages = atomic_load(&progress->normal);
        take_phases(progress, &info->phases);
    }
}

static int64_t ms_between(int64_t from, int64_t to)
{
    return from == 0 ? 0 : (to - from) / NS_PER_MS;
}

MigrationInfo migration_info(const Migration *m)
{
    int64_t now = m->ended != 0 ? m->ended : loop_now_ns();
    MigrationInfo info = m->figures;

    take_figures(m, &info);
    info.status = m->status;
    info.incoming = m->incoming;
    info.error = m->error;
    info.total_ms = ms_between(m->began, now);
    info.setup_ms = ms_between(m->began, m->froze != 0 ? m->froze : now);
    info.downtime_ms = ms_between(m->froze, now);
    return info;
}

/* ---- saving --------------------------------------------------------------------------------- */

/* The worker is done; its thread ends with this. */
static void finish_save(Migration *m)
{
    MigrationStatus status = MIGRATION_COMPLETED;
    g_autoptr(GError) error = NULL;

    if (m->worker) {
        g_thread_join(g_steal_pointer(&m->worker));
    }
    error = g_steal_pointer(&m->worker_error);
    if (!m->saved) {
        status = m->status == MIGRATION_CANCELLING ? MIGRATION_CANCELLED : MIGRATION_FAILED;
    } else if (m->status == MIGRATION_ACTIVE) {
        enter(m, MIGRATION_DEVICE);
    }
    take_figures(m, &m->figures);
    g_clear_pointer(&m->save, template_save_free);
    if (m->frozen) {
        m->frozen = false;
        m->vm->thaw(m->opaque, m->saved ? MIGRATION_END_SAVED : MIGRATION_END_FAILED);
    }
    if (status == MIGRATION_FAILED) {
        log_line(LOG_LEVEL_ERROR, "migrate: %s", error->message);
    }
    end(m, status, status == MIGRATION_FAILED ? error : NULL);
}

static void worker_done(void *opaque)
{
    Migration *m = opaque;

    /* A worker that migration_free had to wait for has nobody left to tell. */
    if (m->worker) {
        finish_save(m);
    }
}

static void *work(void *opaque)
{
    Migration *m = opaque;

    m->saved = template_save_run(m->save, &m->worker_error);
    loop_post(m->loop, worker_done, m);
    return NULL;
}

static uint64_t ns_since(int64_t then)
{
    return (uint64_t)(loop_now_ns() - then);
}

/* vCPUs and devices stand still, and what they know is collected. */
static bool freeze_and_collect(Migration *m, GError **error)
{
    MigrationPhases *phases = &m->figures.phases;
    int64_t frozen;

    if (!m->vm->freeze(m->opaque, error)) {
        return false;
    }
    phases->freeze_ns = ns_since(m->froze);
    frozen = loop_now_ns();
    if (!m->vm->collect(m->opaque, m->save, error)) {
        return false;
    }
    phases->collect_ns = ns_since(frozen);
    return true;
}

/* From the loop, after the command was answered. */
static void freeze_and_write(void *opaque)
{
    Migration *m = opaque;

    if (m->status != MIGRATION_SETUP) {
        finish_save(m); /* cancelled before it began */
        return;
    }
    enter(m, MIGRATION_ACTIVE);
    raise_pass(m, 1);
    m->froze = loop_now_ns();
    m->frozen = true;
    m->figures.phases.setup_ns = (uint64_t)(m->froze - m->began);
    if (!freeze_and_collect(m, &m->worker_error)) {
        finish_save(m);
        return;
    }
    m->worker = thread_start(THREAD_MIGRATION, "migration", work, m, &m->worker_error);
    if (!m->worker) {
        finish_save(m);
    }
}

bool migration_save(Migration *m, const char *uri, GError **error)
{
    TemplateSaveParams params = {
        .sync = m->params.sync,
        .direct_io = m->params.direct_io,
        .bandwidth = m->params.max_bandwidth,
        .threads = (unsigned)m->params.multifd_channels,
        .ignore_shared = m->params.cap[MIGRATION_CAP_IGNORE_SHARED],
    };
    MigrationUri target;
    GError *failure = NULL;

    if (migration_is_under_way(m)) {
        return fail(error, VMM_ERROR_STATE, "There's a migration process in progress");
    }
    if (!migration_uri_parse(uri, &target, error) || !m->vm->check(m->opaque, error)) {
        return false;
    }
    begin(m, /* incoming= */ false);
    params.dir = target.path;
    m->saved = false;
    m->save = template_save_new(&params, m->vm->memory(m->opaque), &failure);
    if (!m->save) {
        end(m, MIGRATION_FAILED, failure);
        g_propagate_error(error, failure);
        return false;
    }
    loop_post(m->loop, freeze_and_write, m);
    return true;
}

void migration_cancel(Migration *m)
{
    if (!m->save || m->status == MIGRATION_CANCELLING) {
        return;
    }
    enter(m, MIGRATION_CANCELLING);
    template_save_cancel(m->save);
}

/* ---- loading -------------------------------------------------------------------------------- */

static uint64_t section_bytes(const TemplateReader *reader)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < template_reader_num_sections(reader); i++) {
        bytes += template_reader_section_at(reader, i)->len;
    }
    return bytes;
}

static bool load_from(Migration *m, const TemplateReader *reader, bool in_place, GError **error)
{
    MigrationPhases *phases = &m->figures.phases;
    int64_t opened = loop_now_ns();
    GError *failure = NULL;

    phases->setup_ns = (uint64_t)(opened - m->began);
    phases->state_bytes = section_bytes(reader);
    enter(m, MIGRATION_ACTIVE);
    m->froze = m->began;
    if (!m->vm->load(m->opaque, reader, in_place, &failure)) {
        end(m, MIGRATION_FAILED, failure);
        g_propagate_error(error, failure);
        return false;
    }
    phases->load_ns = ns_since(opened);
    end(m, MIGRATION_COMPLETED, NULL);
    return true;
}

bool migration_load_opened(Migration *m, const TemplateReader *reader, GError **error)
{
    begin(m, /* incoming= */ true);
    return load_from(m, reader, /* in_place= */ false, error);
}

bool migration_load(Migration *m, const char *uri, GError **error)
{
    g_autoptr(TemplateReader) reader = NULL;
    MigrationUri source;
    GError *failure = NULL;

    if (migration_is_under_way(m)) {
        return fail(error, VMM_ERROR_STATE, "There's a migration process in progress");
    }
    if (!migration_uri_parse(uri, &source, error)) {
        return false;
    }
    begin(m, /* incoming= */ true);
    reader = template_reader_open(source.path, &failure);
    if (!reader) {
        end(m, MIGRATION_FAILED, failure);
        g_propagate_error(error, failure);
        return false;
    }
    return load_from(m, reader, /* in_place= */ true, error);
}

void migration_free(Migration *m)
{
    if (!m) {
        return;
    }
    if (m->worker) {
        template_save_cancel(m->save);
        g_thread_join(g_steal_pointer(&m->worker));
    }
    template_save_free(m->save);
    g_clear_error(&m->worker_error);
    g_free(m->error);
    g_free(m);
}
