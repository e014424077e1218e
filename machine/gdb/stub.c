/* SPDX-License-Identifier: Apache-2.0 */
/* A client comes and goes, and its packets find those who answer them. */
#include "machine/gdb/stub.h"

#include "machine/gdb/private.h"
#include "util/log.h"

#define INPUT_CHUNK     1024 /* packets that are acted upon before others get their turn */
#define OUTPUT_PATIENCE (64U << 10)
#define LAST_WORDS_MS   100

static void do_kill(GdbStub *stub, GdbRequest *request)
{
    request->no_reply = true;
    log_line(LOG_LEVEL_WARNING, "terminated by gdb");
    vm_quit(stub->vm, /* from_guest= */ false, "host-ui", /* exit_status= */ 0);
}

static void do_kill_politely(GdbStub *stub, GdbRequest *request)
{
    do_kill(stub, request);
    request->no_reply = false;
    g_string_assign(request->reply, "OK");
}

/* H and what for: g is for registers and memory, c for what vCont says better. */
static void do_choose_thread(GdbStub *stub, GdbRequest *request)
{
    const char *cursor = request->arguments + 1;
    int index;

    if (request->len < 2 || !strchr("gc", request->arguments[0]) ||
        !gdb_parse_thread(stub, &cursor, &index)) {
        g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
        return;
    }
    if (request->arguments[0] == 'g' && index >= 0) {
        stub->current = (unsigned)index;
    }
    g_string_assign(request->reply, "OK");
}

static void do_is_alive(GdbStub *stub, GdbRequest *request)
{
    const char *cursor = request->arguments;
    int index;
    bool ok = gdb_parse_thread(stub, &cursor, &index);

    g_string_assign(request->reply, ok ? "OK" : GDB_ERROR_ARGUMENT);
}

/* ---- the table ----------------------------------------------------------------------------- */

typedef struct PacketDesc {
    const char *name;
    bool whole; /* nothing may follow it */
    GdbRequestFn run;
} PacketDesc;

/* The first that fits counts; a packet that is not here is answered with nothing. */
static const PacketDesc table[] = {
    {"?", true, gdb_why},
    {"c", false, gdb_continue},
    {"C", false, gdb_continue_signal},
    {"s", false, gdb_step},
    {"S", false, gdb_step_signal},
    {"D", false, gdb_detach},
    {"k", true, do_kill},
    {"H", false, do_choose_thread},
    {"T", false, do_is_alive},
    {"g", true, gdb_read_registers},
    {"G", false, gdb_write_registers},
    {"p", false, gdb_read_register},
    {"P", false, gdb_write_register},
    {"m", false, gdb_read_memory},
    {"M", false, gdb_write_memory},
    {"X", false, gdb_write_binary},
    {"Z", false, gdb_insert_point},
    {"z", false, gdb_remove_point},
    {"vCont?", true, gdb_actions},
    {"vCont;", false, gdb_resume},
    {"vKill;", false, do_kill_politely},
    {"qSupported", false, gdb_query_supported},
    {"qXfer:features:read:", false, gdb_query_features},
    {"qfThreadInfo", true, gdb_query_first_threads},
    {"qsThreadInfo", true, gdb_query_more_threads},
    {"qThreadExtraInfo,", false, gdb_query_thread_extra},
    {"qC", true, gdb_query_current},
    {"qAttached", false, gdb_query_attached},
    {"QStartNoAckMode", true, gdb_set_no_acks},
    {"qqemu.sstepbits", true, gdb_query_step_bits},
    {"qqemu.sstep", true, gdb_query_step},
    {"Qqemu.sstep=", false, gdb_set_step},
    {"qqemu.PhyMemMode", true, gdb_query_physical},
    {"Qqemu.PhyMemMode:", false, gdb_set_physical},
};

static const PacketDesc *find_packet(const char *payload, size_t len)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (g_str_has_prefix(payload, table[i].name) &&
            (!table[i].whole || len == strlen(table[i].name))) {
            return &table[i];
        }
    }
    return NULL;
}

/* The guest may run behind gdb's back: somebody else told it to. */
static void packet_came(void *opaque, const char *payload, size_t len)
{
    GdbStub *stub = opaque;
    const PacketDesc *desc = find_packet(payload, len);
    GdbRequest request = {.reply = g_string_new(NULL)};

    gdb_stop_guest(stub);
    if (desc) {
        request.arguments = payload + strlen(desc->name);
        request.len = len - strlen(desc->name);
        desc->run(stub, &request);
    }
    if (!request.no_reply) {
        gdb_packets_send(&stub->packets, request.reply->str, request.reply->len);
    }
    g_string_free(request.reply, TRUE);
}

static void interrupt_came(void *opaque)
{
    GdbStub *stub = opaque;

    gdb_stop_guest(stub);
    if (stub->owes_a_stop) {
        stub->signal = GDB_SIGNAL_INT;
        gdb_tell_stop(stub);
    }
}

/* ---- the line ------------------------------------------------------------------------------ */

void gdb_flush(GdbStub *stub)
{
    GString *output = stub->packets.output;
    size_t done = chardev_write(stub->chardev, output->str, output->len);

    g_string_erase(output, 0, (gssize)done);
}

static size_t can_receive(void *opaque)
{
    const GdbStub *stub = opaque;

    return stub->packets.output->len < OUTPUT_PATIENCE ? INPUT_CHUNK : 0;
}

void gdb_receive(void *opaque, const uint8_t *data, size_t len)
{
    GdbStub *stub = opaque;

    gdb_packets_receive(&stub->packets, data, len);
    gdb_flush(stub);
}

static void writable(void *opaque)
{
    GdbStub *stub = opaque;

    gdb_flush(stub);
    chardev_accept_input(stub->chardev);
}

static void begin_client(GdbStub *stub)
{
    gdb_packets_reset(&stub->packets);
    stub->current = 0;
    stub->listed = stub->num_cpus;
    stub->last = (DebugStop){0};
    stub->physical = false;
    stub->step_bits = GDB_STEP_BITS;
    gdb_stop_guest(stub);
    stub->signal = GDB_SIGNAL_TRAP;
}

/*
 * A debugger that was cut off leaves no traps behind.  The VM stays as it is: running, or stopped
 * for the next one.
 */
static void end_client(GdbStub *stub)
{
    bool running = run_state_is_running(stub->vm->state);

    gdb_packets_reset(&stub->packets);
    stub->owes_a_stop = false;
    if (stub->points->len == 0) {
        return;
    }
    vcpus_pause(stub->vm->vcpus);
    gdb_points_clear(stub);
    gdb_prepare_cpus(stub);
    if (running) {
        vcpus_resume(stub->vm->vcpus);
    }
}

static void line_changed(void *opaque, ChardevEvent event)
{
    GdbStub *stub = opaque;

    switch (event) {
    case CHARDEV_OPENED:
        begin_client(stub);
        break;
    case CHARDEV_CLOSED:
        end_client(stub);
        break;
    case CHARDEV_BREAK: /* how a serial line says it */
        interrupt_came(stub);
        break;
    }
}

static const ChardevFrontend frontend = {
    .can_receive = can_receive,
    .receive = gdb_receive,
    .writable = writable,
    .event = line_changed,
};

GdbStub *gdb_stub_new(Vm *vm, const char *chardev, GError **error)
{
    g_autoptr(GdbStub) stub = g_new0(GdbStub, 1);
    const GdbPacketUser user = {packet_came, interrupt_came, stub};
    Chardev *chr = backends_find_chardev(vm->backends, chardev, error);

    stub->vm = vm;
    stub->target = &debug_target;
    stub->ops = vm->hypervisor->ops->debug;
    stub->num_cpus = vcpus_count(vm->vcpus);
    stub->block_bytes = debug_register_offset(stub->target, stub->target->num_registers);
    stub->cpus = g_new0(GdbCpu, stub->num_cpus);
    stub->points = g_array_new(FALSE, FALSE, sizeof(GdbPoint));
    gdb_packets_init(&stub->packets, &user);
    vm->debug_tap = (DebugTap){
        .starting = gdb_starting, .stopped = gdb_stopped, .hit = gdb_hit, .opaque = stub};
    if (!chr || !chardev_attach(chr, &frontend, stub, error)) {
        g_prefix_error(error, "-gdb: ");
        return NULL;
    }
    stub->chardev = chr;
    return g_steal_pointer(&stub);
}

/* A client that waits hears that the process ends. */
void gdb_stub_free(GdbStub *stub)
{
    if (!stub) {
        return;
    }
    if (stub->chardev) {
        if (stub->owes_a_stop) {
            char text[8];

            g_snprintf(text, sizeof(text), "W%02x", (unsigned)stub->vm->exit_status & 0xff);
            gdb_packets_send(&stub->packets, text, strlen(text));
        }
        chardev_write_all(stub->chardev, stub->packets.output->str, stub->packets.output->len,
                          LAST_WORDS_MS);
        chardev_detach(stub->chardev);
    }
    stub->vm->debug_tap = (DebugTap){0};
    gdb_packets_fini(&stub->packets);
    g_array_unref(stub->points);
    g_free(stub->cpus);
    g_free(stub);
}
