/* SPDX-License-Identifier: Apache-2.0 */
/* How the guest stops, what gdb is told then, and how it runs on. */
#include "machine/gdb/private.h"
#include "util/error.h"
#include "util/log.h"

#include <inttypes.h>

/* ---- stopping ------------------------------------------------------------------------------ */

/* What gdb calls the reason; 0: it is not told, the guest goes on by itself. */
static const uint8_t signals[RUN_STATE_COUNT] = {
    [RUN_STATE_PRELAUNCH] = GDB_SIGNAL_TRAP,
    [RUN_STATE_PAUSED] = GDB_SIGNAL_INT,
    [RUN_STATE_POSTMIGRATE] = GDB_SIGNAL_INT,
    [RUN_STATE_IO_ERROR] = 23,
    [RUN_STATE_WATCHDOG] = 14,
    [RUN_STATE_GUEST_PANICKED] = 6,
    [RUN_STATE_INTERNAL_ERROR] = 6,
    [RUN_STATE_SHUTDOWN] = 3,
    [RUN_STATE_SUSPENDED] = GDB_SIGNAL_INT,
    [RUN_STATE_DEBUG] = GDB_SIGNAL_TRAP,
};

static void append_point(GString *text, const DebugStop *stop)
{
    static const char *const names[] = {
        [DEBUG_POINT_WRITE] = "watch",
        [DEBUG_POINT_READ] = "rwatch",
        [DEBUG_POINT_ACCESS] = "awatch",
    };

    if (stop->point == DEBUG_POINT_EXECUTE) {
        g_string_append(text, "hwbreak:;");
    } else {
        g_string_append_printf(text, "%s:%" PRIx64 ";", names[stop->point], stop->address);
    }
}

static void append_stop(const GdbStub *stub, GString *text)
{
    g_string_append_printf(text, "T%02xthread:%x;", stub->signal, stub->current + 1);
    if (stub->signal == GDB_SIGNAL_TRAP && stub->last.kind == DEBUG_STOP_SOFTWARE) {
        g_string_append(text, "swbreak:;");
    } else if (stub->signal == GDB_SIGNAL_TRAP && stub->last.kind == DEBUG_STOP_POINT) {
        append_point(text, &stub->last);
    }
}

void gdb_tell_stop(GdbStub *stub)
{
    g_autoptr(GString) text = g_string_new(NULL);

    append_stop(stub, text);
    gdb_packets_send(&stub->packets, text->str, text->len);
    stub->owes_a_stop = false;
    gdb_flush(stub);
}

static bool is_watch(const DebugStop *stop)
{
    return stop->kind == DEBUG_STOP_POINT && stop->point != DEBUG_POINT_EXECUTE;
}

/* The vCPU that is told about: one that was stepped before others, -1 if none has a stop. */
static int choose_stop(const GdbStub *stub)
{
    int chosen = -1;

    for (unsigned i = 0; i < stub->num_cpus; i++) {
        if (stub->cpus[i].stop.kind == DEBUG_STOP_STEP) {
            return (int)i;
        }
        if (stub->cpus[i].stop.kind != DEBUG_STOP_NONE && chosen < 0) {
            chosen = (int)i;
        }
    }
    return chosen;
}

/*
 * One stop at a time is told.  The others come again by themselves when the guest goes on, as the
 * instruction has not run; but for those that follow their instruction, which are kept.
 */
static void take_stop(GdbStub *stub, unsigned index)
{
    stub->current = index;
    stub->last = stub->cpus[index].stop;
    stub->signal = GDB_SIGNAL_TRAP;
    stub->cpus[index].stop = (DebugStop){0};
    for (unsigned i = 0; i < stub->num_cpus; i++) {
        if (!is_watch(&stub->cpus[i].stop)) {
            stub->cpus[i].stop = (DebugStop){0};
        }
    }
}

static void forget_resumption(GdbStub *stub)
{
    for (unsigned i = 0; i < stub->num_cpus; i++) {
        stub->cpus[i].resume = GDB_RESUME_CONTINUE;
    }
}

void gdb_stopped(void *opaque)
{
    GdbStub *stub = opaque;
    int chosen = choose_stop(stub);

    gdb_points_unplant(stub);
    for (unsigned i = 0; i < stub->num_cpus; i++) {
        vcpu_hold(vcpus_get(stub->vm->vcpus, i), /* hold= */ false);
        if (stub->cpus[i].stop.kind != DEBUG_STOP_NONE) {
            vcpu_revive(vcpus_get(stub->vm->vcpus, i));
        }
    }
    if (chosen >= 0) {
        take_stop(stub, (unsigned)chosen);
    } else {
        stub->last = (DebugStop){0};
        stub->signal = signals[stub->vm->state];
    }
    if (stub->signal == 0) {
        return;
    }
    forget_resumption(stub);
    if (stub->owes_a_stop) {
        gdb_tell_stop(stub);
    }
}

bool gdb_hit(void *opaque, const Vcpu *vcpu, const DebugStop *stop)
{
    GdbStub *stub = opaque;

    if (stop->kind == DEBUG_STOP_SOFTWARE && !gdb_points_has_software(stub, stop->address)) {
        return false;
    }
    stub->cpus[vcpu->index].stop = *stop;
    return true;
}

void gdb_stop_guest(GdbStub *stub)
{
    g_autoptr(GError) error = NULL;

    if (run_state_is_running(stub->vm->state) && !vm_stop(stub->vm, RUN_STATE_PAUSED, &error)) {
        log_line(LOG_LEVEL_WARNING, "gdb: %s", error->message);
    }
}

/* ---- running ------------------------------------------------------------------------------- */

typedef struct Preparation {
    const GdbStub *stub;
    DebugSettings settings; /* for all; stepping is each vCPU's own */
} Preparation;

static bool prepare_cpu(Vcpu *vcpu, void *opaque, GError **error)
{
    const Preparation *preparation = opaque;
    const GdbStub *stub = preparation->stub;
    DebugSettings settings = preparation->settings;

    settings.step = stub->cpus[vcpu->index].resume == GDB_RESUME_STEP;
    return stub->ops->apply(vcpu, &settings, error);
}

void gdb_prepare_cpus(GdbStub *stub)
{
    g_autoptr(GError) error = NULL;
    Preparation preparation = {.stub = stub};

    gdb_points_settings(stub, &preparation.settings);
    if (!vcpus_each(stub->vm->vcpus, prepare_cpu, &preparation, &error)) {
        log_line(LOG_LEVEL_WARNING, "gdb: breakpoints: %s", error->message);
    }
}

void gdb_starting(void *opaque)
{
    GdbStub *stub = opaque;

    gdb_points_plant(stub);
    gdb_prepare_cpus(stub);
    for (unsigned i = 0; i < stub->num_cpus; i++) {
        vcpu_hold(vcpus_get(stub->vm->vcpus, i), stub->cpus[i].resume == GDB_RESUME_HOLD);
    }
}

/* A guest that cannot run on is stopped still. */
static void resume(GdbStub *stub, GdbRequest *request)
{
    int waiting = choose_stop(stub);

    request->no_reply = true;
    stub->owes_a_stop = true;
    if (waiting >= 0) {
        take_stop(stub, (unsigned)waiting);
        gdb_tell_stop(stub);
    } else if (!vm_cont(stub->vm, NULL)) {
        gdb_tell_stop(stub);
    }
}

/* ---- packets about stopping and running ---------------------------------------------------- */

/* A client that asks knows of no breakpoint yet. */
void gdb_why(GdbStub *stub, GdbRequest *request)
{
    gdb_points_clear(stub);
    append_stop(stub, request->reply);
}

void gdb_actions(GdbStub *stub, GdbRequest *request)
{
    (void)stub;
    g_string_assign(request->reply, "vCont;c;C;s;S");
}

/* Of those that are not said anything else yet. */
static void set_resume(GdbStub *stub, int index, GdbResume resume, bool *said)
{
    for (unsigned i = 0; i < stub->num_cpus; i++) {
        if ((index < 0 || i == (unsigned)index) && !said[i]) {
            stub->cpus[i].resume = resume;
            said[i] = true;
        }
    }
}

/* ACTION[:THREAD], of which the first that names a thread counts.  Signals mean nothing here. */
static bool parse_action(GdbStub *stub, const char **cursor, bool *said)
{
    char action = **cursor;
    uint64_t signal;
    int index = -1;

    if (action == '\0' || !strchr("cCsS", action)) {
        return false;
    }
    ++*cursor;
    if (g_ascii_isupper(action) && !gdb_parse_hex(cursor, &signal)) {
        return false;
    }
    if (**cursor == ':') {
        ++*cursor;
        if (!gdb_parse_thread(stub, cursor, &index)) {
            return false;
        }
    }
    set_resume(stub, index, g_ascii_tolower(action) == 's' ? GDB_RESUME_STEP : GDB_RESUME_CONTINUE,
               said);
    if (**cursor == ';') {
        ++*cursor;
        return true;
    }
    return **cursor == '\0';
}

void gdb_resume(GdbStub *stub, GdbRequest *request)
{
    g_autofree bool *said = g_new0(bool, stub->num_cpus);
    const char *cursor = request->arguments;
    bool ok = *cursor != '\0';

    while (ok && *cursor != '\0') {
        ok = parse_action(stub, &cursor, said);
    }
    if (!ok) {
        forget_resumption(stub);
        g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
        return;
    }
    set_resume(stub, -1, GDB_RESUME_HOLD, said);
    resume(stub, request);
}

/* [ADDRESS] after c and s, SIGNAL[;ADDRESS] after C and S. */
static bool move_to(GdbStub *stub, const GdbRequest *request, bool with_signal)
{
    const char *cursor = request->arguments;
    uint64_t value;

    if (with_signal) {
        if (!gdb_parse_hex(&cursor, &value) || (*cursor != '\0' && *cursor != ';')) {
            return false;
        }
        cursor += *cursor == ';';
    }
    if (*cursor == '\0') {
        return true;
    }
    return gdb_parse_hex_until(&cursor, '\0', &value) && gdb_set_pc(stub, value);
}

static void do_old_resume(GdbStub *stub, GdbRequest *request, bool with_signal, GdbResume how)
{
    if (!move_to(stub, request, with_signal)) {
        g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
        return;
    }
    if (how == GDB_RESUME_STEP) {
        for (unsigned i = 0; i < stub->num_cpus; i++) {
            stub->cpus[i].resume = i == stub->current ? GDB_RESUME_STEP : GDB_RESUME_HOLD;
        }
    }
    resume(stub, request);
}

void gdb_continue(GdbStub *stub, GdbRequest *request)
{
    do_old_resume(stub, request, /* with_signal= */ false, GDB_RESUME_CONTINUE);
}

void gdb_continue_signal(GdbStub *stub, GdbRequest *request)
{
    do_old_resume(stub, request, /* with_signal= */ true, GDB_RESUME_CONTINUE);
}

void gdb_step(GdbStub *stub, GdbRequest *request)
{
    do_old_resume(stub, request, /* with_signal= */ false, GDB_RESUME_STEP);
}

void gdb_step_signal(GdbStub *stub, GdbRequest *request)
{
    do_old_resume(stub, request, /* with_signal= */ true, GDB_RESUME_STEP);
}

/* What stopped it may still forbid it to run: that is no reason to stay attached. */
void gdb_detach(GdbStub *stub, GdbRequest *request)
{
    gdb_points_clear(stub);
    for (unsigned i = 0; i < stub->num_cpus; i++) {
        stub->cpus[i].stop = (DebugStop){0};
    }
    vm_cont(stub->vm, NULL);
    g_string_assign(request->reply, "OK");
}
