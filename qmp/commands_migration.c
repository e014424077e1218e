/* SPDX-License-Identifier: Apache-2.0 */
/* Templates and migration. */
#include "migration/migration.h"

#include "machine/vm_migration.h"
#include "qmp/generated.h"
#include "qmp/session.h"
#include "util/error.h"

/* ---- saving and loading --------------------------------------------------------------------- */

static char *missing(const char *member, GError **error)
{
    return fail_null(error, VMM_ERROR_CONFIG, "Parameter 'channels[0].addr.%s' is missing", member);
}

static char *file_uri(const QmpMigrationAddress *addr, GError **error)
{
    if (!addr->filename) {
        return missing("filename", error);
    }
    /* Clients that write offsets always write one. */
    return addr->offset != 0
               ? g_strdup_printf("file:%s,offset=%" G_GUINT64_FORMAT, addr->filename, addr->offset)
               : g_strconcat("file:", addr->filename, NULL);
}

/* So that a shell gives the words back one by one. */
static char *exec_uri(const QmpMigrationAddress *addr, GError **error)
{
    GString *uri;

    if (addr->args.count == 0) {
        return missing("args", error);
    }
    uri = g_string_new("exec:exec");
    for (size_t i = 0; i < addr->args.count; i++) {
        g_autofree char *quoted = g_shell_quote(addr->args.items[i]);

        g_string_append_printf(uri, " %s", quoted);
    }
    return g_string_free(uri, /* free_segment= */ FALSE);
}

static char *socket_uri(const QmpMigrationAddress *addr, GError **error)
{
    if (!addr->has_type) {
        return missing("type", error);
    }
    return addr->str ? g_strconcat("fd:", addr->str, NULL) : missing("str", error);
}

static char *channel_to_uri(const QmpMigrationChannel *channel, GError **error)
{
    static char *(*const makers[])(const QmpMigrationAddress *addr, GError **error) = {
        [QMP_MIGRATION_TRANSPORT_FILE] = file_uri,
        [QMP_MIGRATION_TRANSPORT_EXEC] = exec_uri,
        [QMP_MIGRATION_TRANSPORT_SOCKET] = socket_uri,
    };

    return makers[channel->addr.transport](&channel->addr, error);
}

static bool pick_uri(const char *uri, const QmpMigrationChannel *channels, size_t count,
                     char **ret_uri, GError **error)
{
    if ((uri != NULL) == (count > 0)) {
        return fail(error, VMM_ERROR_CONFIG, "need either 'uri' or 'channels' argument");
    }
    if (count > 1) {
        return fail(error, VMM_ERROR_CONFIG, "Parameter 'channels' has %zu channels: expected one",
                    count);
    }
    if (uri) {
        *ret_uri = g_strdup(uri);
        return true;
    }
    *ret_uri = channel_to_uri(&channels[0], error);
    return *ret_uri != NULL;
}

static int take_fd(void *opaque, const char *name)
{
    return qmp_session_take_named_fd(opaque, name);
}

static ChannelHost stream_host(const QmpCall *call)
{
    ChannelHost host = vm_stream_host(call->vm);

    host.take_fd = take_fd;
    host.opaque = call->session;
    return host;
}

bool qmp_cmd_migrate(QmpCall *call, const QmpMigrateArgs *args, QmpReply *reply, GError **error)
{
    const ChannelHost host = stream_host(call);
    g_autofree char *uri = NULL;

    (void)reply;
    if (args->has_resume && args->resume) {
        return fail(error, VMM_ERROR_STATE, "there is no interrupted migration to resume");
    }
    return pick_uri(args->uri, args->channels.items, args->channels.count, &uri, error) &&
           migration_save(call->vm->migration, uri, &host, error);
}

bool qmp_cmd_migrate_cancel(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)reply;
    (void)error;
    migration_cancel(call->vm->migration);
    return true;
}

bool qmp_cmd_migrate_incoming(QmpCall *call, const QmpMigrateIncomingArgs *args, QmpReply *reply,
                              GError **error)
{
    bool or_give_up = args->has_exit_on_error && args->exit_on_error;
    const ChannelHost host = stream_host(call);
    g_autofree char *uri = NULL;
    bool ok;

    (void)reply;
    if (call->vm->state != RUN_STATE_INMIGRATE) {
        return fail(error, VMM_ERROR_STATE,
                    call->vm->config->incoming.uri
                        ? "The incoming migration has already been started"
                        : "'-incoming' was not specified on the command line");
    }
    if (!pick_uri(args->uri, args->channels.items, args->channels.count, &uri, error)) {
        return false;
    }
    ok = migration_load(call->vm->migration, uri, &host, or_give_up, error);
    if (!ok && or_give_up) {
        vm_quit(call->vm, /* from_guest= */ false, "host-error", /* exit_status= */ 1);
    }
    return ok;
}

/* ---- how it goes ---------------------------------------------------------------------------- */

static uint64_t per_second(uint64_t amount, int64_t ms)
{
    return ms > 0 ? amount * 1000 / (uint64_t)ms : 0;
}

static json_object *ram_stats(const MigrationInfo *info)
{
    json_object *ram = json_object_new_object();
    uint64_t written = info->written_pages * MIGRATION_PAGE_BYTES;
    double megabits = (double)per_second(written, info->downtime_ms) * 8 / 1e6;
    static const char *const never[] = {
        "skipped",
        "dirty-pages-rate",
        "multifd-bytes",
        "precopy-bytes",
        "postcopy-bytes",
        "postcopy-requests",
        "dirty-sync-missed-zero-copy",
    };

    qmp_add_int(ram, "total", (int64_t)info->ram_total);
    qmp_add_int(ram, "remaining", (int64_t)(info->ram_total - info->ram_transferred));
    qmp_add_int(ram, "transferred", (int64_t)written);
    qmp_add_int(ram, "duplicate", (int64_t)info->zero_pages);
    qmp_add_int(ram, "normal", (int64_t)info->written_pages);
    qmp_add_int(ram, "normal-bytes", (int64_t)written);
    qmp_add_int(ram, "dirty-sync-count", 1);
    json_object_object_add(ram, "mbps", json_object_new_double(megabits));
    qmp_add_int(ram, "page-size", MIGRATION_PAGE_BYTES);
    qmp_add_int(ram, "pages-per-second",
                (int64_t)per_second(info->written_pages, info->downtime_ms));
    qmp_add_int(ram, "downtime-bytes", (int64_t)written);
    for (size_t i = 0; i < G_N_ELEMENTS(never); i++) {
        qmp_add_int(ram, never[i], 0);
    }
    return ram;
}

static void add_times(json_object *answer, const MigrationInfo *info)
{
    bool done = info->status == MIGRATION_COMPLETED;

    qmp_add_int(answer, "total-time", info->total_ms);
    qmp_add_int(answer, "setup-time", info->setup_ms);
    qmp_add_int(answer, done ? "downtime" : "expected-downtime", info->downtime_ms);
    json_object_object_add(answer, "ram", ram_stats(info));
}

bool qmp_cmd_query_migrate(QmpCall *call, QmpReply *reply, GError **error)
{
    const MigrationInfo info = migration_info(call->vm->migration);
    bool tells_all = !info.incoming && info.status != MIGRATION_FAILED &&
                     info.status != MIGRATION_CANCELLED && info.status != MIGRATION_SETUP;

    (void)error;
    reply->value = json_object_new_object();
    if (info.status == MIGRATION_NONE) {
        return true;
    }
    qmp_add_string(reply->value, "status", migration_status_name(info.status));
    if (info.error) {
        qmp_add_string(reply->value, "error-desc", info.error);
    }
    if (tells_all) {
        add_times(reply->value, &info);
    }
    return true;
}

/* ---- what can be set ------------------------------------------------------------------------ */

static bool check_idle(const QmpCall *call, GError **error)
{
    return !migration_is_under_way(call->vm->migration) ||
           fail(error, VMM_ERROR_STATE, "There's a migration process in progress");
}

bool qmp_cmd_query_migrate_capabilities(QmpCall *call, QmpReply *reply, GError **error)
{
    const MigrationParams *params = migration_params(call->vm->migration);

    (void)error;
    reply->value = json_object_new_array();
    for (unsigned i = 0; i < MIGRATION_CAP_COUNT; i++) {
        json_object *cap = json_object_new_object();

        qmp_add_bool(cap, "state", params->cap[i]);
        qmp_add_string(cap, "capability", migration_cap_name((MigrationCap)i));
        json_object_array_add(reply->value, cap);
    }
    return true;
}

bool qmp_cmd_migrate_set_capabilities(QmpCall *call, const QmpMigrateSetCapabilitiesArgs *args,
                                      QmpReply *reply, GError **error)
{
    /* The schema's enum and the table's have the same names. */
    static const MigrationCap caps[] = {
        [QMP_MIGRATION_CAPABILITY_EVENTS] = MIGRATION_CAP_EVENTS,
        [QMP_MIGRATION_CAPABILITY_X_IGNORE_SHARED] = MIGRATION_CAP_IGNORE_SHARED,
        [QMP_MIGRATION_CAPABILITY_MAPPED_RAM] = MIGRATION_CAP_MAPPED_RAM,
        [QMP_MIGRATION_CAPABILITY_MULTIFD] = MIGRATION_CAP_MULTIFD,
    };
    MigrationParams *params = migration_params(call->vm->migration);

    (void)reply;
    if (!check_idle(call, error)) {
        return false;
    }
    for (size_t i = 0; i < args->capabilities.count; i++) {
        const QmpMigrationCapabilityStatus *one = &args->capabilities.items[i];

        params->cap[caps[one->capability]] = one->state;
    }
    return true;
}

bool qmp_cmd_query_migrate_parameters(QmpCall *call, QmpReply *reply, GError **error)
{
    const MigrationParams *params = migration_params(call->vm->migration);

    (void)error;
    reply->value = json_object_new_object();
    json_object_object_add(reply->value, "max-bandwidth",
                           json_object_new_uint64(params->max_bandwidth));
    qmp_add_bool(reply->value, "direct-io", params->direct_io);
    qmp_add_int(reply->value, "multifd-channels", (int64_t)params->multifd_channels);
    qmp_add_int(reply->value, "downtime-limit", (int64_t)params->downtime_limit_ms);
    qmp_add_bool(reply->value, "sync", params->sync);
    return true;
}

bool qmp_cmd_migrate_set_parameters(QmpCall *call, const QmpMigrateSetParametersArgs *args,
                                    QmpReply *reply, GError **error)
{
    MigrationParams *params = migration_params(call->vm->migration);

    (void)reply;
    if (!check_idle(call, error)) {
        return false;
    }
    params->max_bandwidth = args->has_max_bandwidth ? args->max_bandwidth : params->max_bandwidth;
    params->direct_io = args->has_direct_io ? args->direct_io : params->direct_io;
    params->multifd_channels =
        args->has_multifd_channels ? args->multifd_channels : params->multifd_channels;
    params->downtime_limit_ms =
        args->has_downtime_limit ? args->downtime_limit : params->downtime_limit_ms;
    params->sync = args->has_sync ? args->sync : params->sync;
    return true;
}
