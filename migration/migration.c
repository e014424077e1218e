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
    bool frozen;
    MigrationInfo figures;

    /* Of whatever is under way. */
    Channel *stream; /* NULL: a folder */
    GThread *worker;
    bool done;            /* written by the worker, read after it is joined */
    GError *worker_error; /* the same */

    /* Of a load under way, from a stream. */
    TemplateReader *reader; /* the worker's, until it is joined */
    bool or_give_up;
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
    phases->memory_ns = atomic_load(&progress->part_ns[TEMPLATE_PART_MEMORY]);
    phases->state_ns = atomic_load(&progress->part_ns[TEMPLATE_PART_STATE]);
    phases->publish_ns = atomic_load(&progress->part_ns[TEMPLATE_PART_PUBLISH]);
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
    if (!m->done) {
        status = m->status == MIGRATION_CANCELLING ? MIGRATION_CANCELLED : MIGRATION_FAILED;
    } else if (m->status == MIGRATION_ACTIVE) {
        enter(m, MIGRATION_DEVICE);
    }
    take_figures(m, &m->figures);
    g_clear_pointer(&m->save, template_save_free);
    g_clear_pointer(&m->stream, channel_free);
    if (m->frozen) {
        m->frozen = false;
        m->vm->thaw(m->opaque, m->done ? MIGRATION_END_SAVED : MIGRATION_END_FAILED);
    }
    if (status == MIGRATION_FAILED) {
        log_line(LOG_LEVEL_ERROR, "migrate: %s", error->message);
    }
    end(m, status, status == MIGRATION_FAILED ? error : NULL);
}

static void save_done(void *opaque)
{
    Migration *m = opaque;

    /* A worker that migration_free had to wait for has nobody left to tell. */
    if (m->worker) {
        finish_save(m);
    }
}

static void *run_save(void *opaque)
{
    Migration *m = opaque;

    m->done = template_save_run(m->save, &m->worker_error);
    loop_post(m->loop, save_done, m);
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
    m->worker = thread_start(THREAD_MIGRATION, "migration", run_save, m, &m->worker_error);
    if (!m->worker) {
        finish_save(m);
    }
}

/* Opens what uri leads to: a stream, or the folder that params then names. */
static bool open_target(Migration *m, const MigrationUri *uri, const ChannelHost *host,
                        TemplateSaveParams *params, GError **error)
{
    const bool *cap = m->params.cap;
    bool single_file = cap[MIGRATION_CAP_MAPPED_RAM] || cap[MIGRATION_CAP_MULTIFD];

    if (migration_uri_is_folder(uri, single_file)) {
        params->dir = uri->text;
    } else {
        m->stream = channel_open(uri, CHANNEL_WRITE, host, error);
        params->stream = m->stream;
    }
    return params->dir || params->stream;
}

static bool prepare_save(Migration *m, const MigrationUri *uri, const ChannelHost *host,
                         GError **error)
{
    TemplateSaveParams params = {
        .sync = m->params.sync,
        .direct_io = m->params.direct_io,
        .bandwidth = m->params.max_bandwidth,
        .threads = (unsigned)m->params.multifd_channels,
        .ignore_shared = m->params.cap[MIGRATION_CAP_IGNORE_SHARED],
    };

    if (!open_target(m, uri, host, &params, error)) {
        return false;
    }
    m->save = template_save_new(&params, m->vm->memory(m->opaque), error);
    if (!m->save) {
        g_clear_pointer(&m->stream, channel_free);
    }
    return m->save != NULL;
}

bool migration_save(Migration *m, const char *uri, const ChannelHost *host, GError **error)
{
    g_autoptr(MigrationUri) target = NULL;
    GError *failure = NULL;

    if (migration_is_under_way(m)) {
        return fail(error, VMM_ERROR_STATE, "There's a migration process in progress");
    }
    target = migration_uri_parse(uri, error);
    if (!target || !m->vm->check(m->opaque, error)) {
        return false;
    }
    begin(m, /* incoming= */ false);
    m->done = false;
    if (!prepare_save(m, target, host, &failure)) {
        end(m, MIGRATION_FAILED, failure);
        g_propagate_error(error, failure);
        return false;
    }
    loop_post(m->loop, freeze_and_write, m);
    return true;
}

void migration_cancel(Migration *m)
{
    if (m->status == MIGRATION_CANCELLING || (!m->save && !m->stream)) {
        return;
    }
    enter(m, MIGRATION_CANCELLING);
    if (m->save) {
        template_save_cancel(m->save);
    } else {
        channel_cancel(m->stream);
    }
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
    enter(m, MIGRATION_ACTIVE);
    return load_from(m, reader, /* in_place= */ false, error);
}

static bool load_folder(Migration *m, const char *dir, GError **error)
{
    g_autoptr(TemplateReader) reader = NULL;
    GError *failure = NULL;

    begin(m, /* incoming= */ true);
    reader = template_reader_open(dir, &failure);
    if (!reader) {
        end(m, MIGRATION_FAILED, failure);
        g_propagate_error(error, failure);
        return false;
    }
    enter(m, MIGRATION_ACTIVE);
    return load_from(m, reader, /* in_place= */ true, error);
}

/* The command was answered long ago: the log and query-migrate tell. */
static void finish_load(Migration *m)
{
    g_autoptr(TemplateReader) reader = NULL;
    g_autoptr(GError) error = NULL;

    if (m->worker) {
        g_thread_join(g_steal_pointer(&m->worker));
    }
    error = g_steal_pointer(&m->worker_error);
    reader = g_steal_pointer(&m->reader);
    g_clear_pointer(&m->stream, channel_free);
    if (m->status == MIGRATION_CANCELLING) {
        end(m, MIGRATION_CANCELLED, NULL);
        return;
    }
    if (!m->done) {
        end(m, MIGRATION_FAILED, error);
    } else if (load_from(m, reader, /* in_place= */ true, &error)) {
        return;
    }
    log_line(LOG_LEVEL_ERROR, "incoming: %s", error->message);
    if (m->or_give_up) {
        m->vm->give_up(m->opaque);
    }
}

static void load_done(void *opaque)
{
    Migration *m = opaque;

    if (m->worker) {
        finish_load(m);
    }
}

static void *run_load(void *opaque)
{
    Migration *m = opaque;

    m->reader = template_reader_begin(m->stream, &m->worker_error);
    m->done = m->reader && m->vm->fits(m->opaque, m->reader, &m->worker_error) &&
              template_reader_receive(m->reader, m->stream, &m->worker_error);
    loop_post(m->loop, load_done, m);
    return NULL;
}

/* From the loop, after the command was answered. */
static void take_stream(void *opaque)
{
    Migration *m = opaque;

    if (m->status == MIGRATION_SETUP) {
        enter(m, MIGRATION_ACTIVE);
        m->worker = thread_start(THREAD_MIGRATION, "migration", run_load, m, &m->worker_error);
    }
    if (!m->worker) {
        finish_load(m);
    }
}

void migration_load_stream(Migration *m, Channel *stream, bool or_give_up)
{
    begin(m, /* incoming= */ true);
    m->done = false;
    m->stream = stream;
    m->or_give_up = or_give_up;
    loop_post(m->loop, take_stream, m);
}

bool migration_load(Migration *m, const char *uri, const ChannelHost *host, bool or_give_up,
                    GError **error)
{
    g_autoptr(MigrationUri) source = NULL;
    Channel *stream;
    GError *failure = NULL;

    if (migration_is_under_way(m)) {
        return fail(error, VMM_ERROR_STATE, "There's a migration process in progress");
    }
    source = migration_uri_parse(uri, error);
    if (!source) {
        return false;
    }
    /* What is not there is not there as either; the folder's message says more. */
    if (migration_uri_is_folder(source, /* single_file= */ false)) {
        return load_folder(m, source->text, error);
    }
    stream = channel_open(source, CHANNEL_READ, host, &failure);
    if (!stream) {
        begin(m, /* incoming= */ true);
        end(m, MIGRATION_FAILED, failure);
        g_propagate_error(error, failure);
        return false;
    }
    migration_load_stream(m, stream, or_give_up);
    return true;
}

void migration_free(Migration *m)
{
    if (!m) {
        return;
    }
    if (m->save) {
        template_save_cancel(m->save);
    } else if (m->stream) {
        channel_cancel(m->stream);
    }
    if (m->worker) {
        g_thread_join(g_steal_pointer(&m->worker));
    }
    template_save_free(m->save);
    template_reader_free(m->reader);
    channel_free(m->stream);
    g_clear_error(&m->worker_error);
    g_free(m->error);
    g_free(m);
}
