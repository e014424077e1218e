/* SPDX-License-Identifier: Apache-2.0 */
/* Transcripts of gdb's protocol against a VM on the fake hypervisor. */
#include "machine/gdb/stub.h"

#include "hypervisor/fake.h"
#include "machine/options.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The VM's events in the order they came. */
typedef struct Events {
    Mutex lock;
    /* guarded by lock */
    GString *names;
} Events;

/* A VM and its debugger's server in a thread of their own, and the test as gdb. */
typedef struct Bench {
    VmConfig *config;
    Loop *loop;
    Events events;
    VmEventSink sink;
    Vm *vm;
    GdbStub *stub;
    GThread *thread;
    char *folder;
    char *path;
    FILE *peer;
    bool no_acks;
    GString *reply;
} Bench;

static void note_event(void *opaque, const char *name, json_object *data)
{
    Events *events = opaque;

    mutex_lock(&events->lock);
    g_string_append_printf(events->names, "%s ", name);
    mutex_unlock(&events->lock);
    event_raise(NULL, name, data);
}

static void *run_loop(void *opaque)
{
    Bench *b = opaque;

    loop_run(b->loop);
    return NULL;
}

static void connect_peer(Bench *b)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, b->path, sizeof(address.sun_path));
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    b->peer = fdopen(fd, "r+");
    b->no_acks = false;
}

static void make_vm(Bench *b)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *option = g_strdup_printf("unix:%s", b->path);
    OptionsOutcome outcome = {0};
    char *argv[] = {(char[]){"stencil"}, (char[]){"-machine"}, (char[]){"microvm"},
                    (char[]){"-accel"},  (char[]){"qtest"},    (char[]){"-smp"},
                    (char[]){"2"},       (char[]){"-gdb"},     option};

    ck_assert(options_parse(G_N_ELEMENTS(argv), argv, b->config, &outcome, &error));
    ck_assert(vm_config_validate(b->config, &error));
    b->vm = vm_new(b->config, b->loop, &b->sink, NULL, &error);
    ck_assert_msg(b->vm != NULL, "%s", error ? error->message : "");
    ck_assert(vm_boot(b->vm, &error));
}

/* script is what vCPU 0 will do. */
static void bench_start(Bench *b, const FakeExit *script, size_t count)
{
    g_autoptr(GError) error = NULL;

    *b = (Bench){.config = vm_config_new(), .loop = loop_new("main"), .reply = g_string_new(NULL)};
    mutex_init(&b->events.lock);
    b->events.names = g_string_new(NULL);
    b->sink = (VmEventSink){.raise = note_event, .opaque = &b->events};
    b->folder = g_dir_make_tmp("stencil-gdb-XXXXXX", NULL);
    b->path = g_build_filename(b->folder, "gdb.sock", NULL);
    make_vm(b);
    fake_set_script(b->vm->hypervisor, 0, script, count);
    b->stub = gdb_stub_new(b->vm, b->config->gdb, &error);
    ck_assert_ptr_nonnull(b->stub);
    b->thread = g_thread_new("main loop", run_loop, b);
    connect_peer(b);
}

static void bench_end(Bench *b)
{
    if (b->peer) {
        fclose(b->peer);
    }
    loop_quit(b->loop);
    g_thread_join(b->thread);
    gdb_stub_free(b->stub);
    vm_free(b->vm);
    loop_free(b->loop);
    vm_config_free(b->config);
    unlink(b->path);
    rmdir(b->folder);
    g_free(b->path);
    g_free(b->folder);
    g_string_free(b->reply, TRUE);
    g_string_free(b->events.names, TRUE);
    mutex_fini(&b->events.lock);
}

static unsigned sum_of(const char *payload, size_t len)
{
    unsigned sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum += (uint8_t)payload[i];
    }
    return sum & 0xff;
}

static void say_bytes(Bench *b, const char *payload, size_t len)
{
    fputc('$', b->peer);
    fwrite(payload, 1, len, b->peer);
    fprintf(b->peer, "#%02x", sum_of(payload, len));
    fflush(b->peer);
    if (!b->no_acks) {
        ck_assert_int_eq(fgetc(b->peer), '+');
    }
}

static void say(Bench *b, const char *payload)
{
    say_bytes(b, payload, strlen(payload));
}

/* One packet, checked and acknowledged. */
static const char *hear(Bench *b)
{
    char sum[3] = {0};
    int c;

    ck_assert_int_eq(fgetc(b->peer), '$');
    g_string_truncate(b->reply, 0);
    while ((c = fgetc(b->peer)) != '#') {
        ck_assert_int_ne(c, EOF);
        g_string_append_c(b->reply, (char)c);
    }
    ck_assert_int_eq(fread(sum, 1, 2, b->peer), 2);
    ck_assert_uint_eq(strtoul(sum, NULL, 16), sum_of(b->reply->str, b->reply->len));
    if (!b->no_acks) {
        fputc('+', b->peer);
        fflush(b->peer);
    }
    return b->reply->str;
}

static void ask(Bench *b, const char *payload, const char *reply)
{
    say(b, payload);
    ck_assert_str_eq(hear(b), reply);
}

static void ask_for_prefix(Bench *b, const char *payload, const char *prefix)
{
    say(b, payload);
    ck_assert_msg(g_str_has_prefix(hear(b), prefix), "%s: %s", payload, b->reply->str);
}

static void expect_events(Bench *b, const char *names)
{
    mutex_lock(&b->events.lock);
    ck_assert_str_eq(b->events.names->str, names);
    mutex_unlock(&b->events.lock);
}

/* What belongs to the main loop's thread is looked at there. */
typedef struct Look {
    Bench *b;
    RunState state;
    unsigned index;
    DebugSettings debug;
    unsigned count;
    uint8_t *code;
    bool ok;
} Look;

static void look_at_state(void *opaque)
{
    Look *look = opaque;

    look->state = look->b->vm->state;
}

static RunState state_of(Bench *b)
{
    Look look = {.b = b};

    loop_call(b->loop, look_at_state, &look);
    return look.state;
}

static void look_at_debug(void *opaque)
{
    Look *look = opaque;

    look->debug = vcpus_get(look->b->vm->vcpus, look->index)->debug;
}

static DebugSettings debug_of(Bench *b, unsigned index)
{
    Look look = {.b = b, .index = index};

    loop_call(b->loop, look_at_debug, &look);
    return look.debug;
}

static void look_at_given_back(void *opaque)
{
    Look *look = opaque;

    look->count = (unsigned)fake_given_back(look->b->vm->hypervisor);
}

static unsigned given_back(Bench *b)
{
    Look look = {.b = b};

    loop_call(b->loop, look_at_given_back, &look);
    return look.count;
}

#define CODE_BYTES 4

static void look_at_code(void *opaque)
{
    Look *look = opaque;

    look->ok = guest_mem_read(look->b->vm->memory, GPA(0x1000), look->code, CODE_BYTES, NULL);
}

static bool read_code(Bench *b, uint8_t code[CODE_BYTES])
{
    Look look = {.b = b, .code = code};

    loop_call(b->loop, look_at_code, &look);
    return look.ok;
}

START_TEST(a_session_begins_as_gdb_begins_it)
{
    Bench b;

    bench_start(&b, NULL, 0);
    ask(&b, "qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+",
        "PacketSize=1000;qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+");
    ask(&b, "vMustReplyEmpty", "");
    ask(&b, "QStartNoAckMode", "OK");
    b.no_acks = true;
    ask(&b, "Hg0", "OK");
    ask(&b, "qTStatus", "");
    ask(&b, "?", "T05thread:1;");
    ask(&b, "qfThreadInfo", "m1,2");
    ask(&b, "qsThreadInfo", "l");
    ask(&b, "qThreadExtraInfo,2", "764350552031");
    ask(&b, "qAttached", "1");
    ask(&b, "Hc-1", "OK");
    ask(&b, "qC", "QC1");
    ask(&b, "vCont?", "vCont;c;C;s;S");
    ask(&b, "T2", "OK");
    ask(&b, "T3", "E22");
    bench_end(&b);
}
END_TEST

START_TEST(the_target_describes_itself_piece_by_piece)
{
    g_autofree char *first = NULL;
    Bench b;

    bench_start(&b, NULL, 0);
    ask_for_prefix(&b, "qXfer:features:read:target.xml:0,40", "m<?xml");
    first = g_strdup(b.reply->str + 1);
    ck_assert_uint_eq(strlen(first), 0x40);
    ask_for_prefix(&b, "qXfer:features:read:target.xml:3,40", "m");
    ck_assert(g_str_has_prefix(b.reply->str + 1, first + 3));
    ask_for_prefix(&b, "qXfer:features:read:target.xml:ffffff,40", "l");
    ask(&b, "qXfer:features:read:other.xml:0,40", "E00");
    ask(&b, "qXfer:features:read:target.xml:0", "E22");
    bench_end(&b);
}
END_TEST

START_TEST(registers_are_read_and_written_one_by_one_and_all_at_once)
{
    const size_t pc = debug_target.pc;
    g_autofree char *read_pc = g_strdup_printf("p%zx", pc);
    g_autofree char *write_pc = g_strdup_printf("P%zx=efcdab8967452301", pc);
    size_t offset = 2 * debug_register_offset(&debug_target, pc);
    size_t size = 2 * debug_register_offset(&debug_target, debug_target.num_registers);
    g_autoptr(GString) all = g_string_new("G");
    Bench b;

    bench_start(&b, NULL, 0);
    ask(&b, read_pc, "0000000000000000");
    ask(&b, write_pc, "OK");
    ask(&b, read_pc, "efcdab8967452301");
    say(&b, "g");
    hear(&b);
    ck_assert_uint_eq(b.reply->len, size);
    ck_assert(g_str_has_prefix(b.reply->str + offset, "efcdab8967452301"));
    ask(&b, "Hg2", "OK");
    ask(&b, read_pc, "0000000000000000");
    g_string_append(all, "0807060504030201");
    ask(&b, all->str, "OK");
    ask(&b, "p0", "0807060504030201");
    ask(&b, read_pc, "0000000000000000");
    ask(&b, "p1000", "E22");
    ask(&b, "P0=12", "E22");
    ask(&b, "P0", "E22");
    ask(&b, "G123", "E22");
    bench_end(&b);
}
END_TEST

START_TEST(memory_is_read_and_written_by_virtual_and_physical_addresses)
{
    Bench b;

    bench_start(&b, NULL, 0);
    ask(&b, "M1000,4:01020304", "OK");
    ask(&b, "m1000,6", "010203040000");
    ask(&b, "mffffffff80001002,2", "0304");
    say_bytes(&b, "X2000,3:}\x03\x00\xff", strlen("X2000,3:") + 4);
    ck_assert_str_eq(hear(&b), "OK");
    ask(&b, "m2000,3", "2300ff");
    ask(&b, "m7fffffff0000,8", "E14");
    ask(&b, "M7fffffff0000,1:00", "E14");
    ask(&b, "m1000", "E22");
    ask(&b, "m,1", "E22");
    ask(&b, "M1000,4:0102", "E22");
    ask(&b, "M1000,2:010203", "E22");
    ask(&b, "X1000,8:ab", "E22");
    ask(&b, "qqemu.PhyMemMode", "0");
    ask(&b, "Qqemu.PhyMemMode:1", "OK");
    ask(&b, "m1000,4", "01020304");
    ask(&b, "mffffffff80001002,2", "E14");
    ask(&b, "qqemu.PhyMemMode", "1");
    bench_end(&b);
}
END_TEST

/* What is there is told, and where it ends; an access that wraps around the top is none. */
START_TEST(memory_that_ends_is_read_to_its_end)
{
    g_autofree char *over_the_end = NULL;
    uint64_t end;
    Bench b;

    bench_start(&b, NULL, 0);
    end = guest_mem_total(b.vm->memory);
    over_the_end = g_strdup_printf("m%" G_GINT64_MODIFIER "x,10", end - 4);
    ask(&b, over_the_end, "00000000");
    ask(&b, "Qqemu.PhyMemMode:1", "OK");
    ask(&b, "mffffffffffffffff,8", "E14");
    bench_end(&b);
}
END_TEST

START_TEST(the_guest_runs_until_it_is_interrupted)
{
    Bench b;

    bench_start(&b, NULL, 0);
    say(&b, "vCont;c");
    fputc(3, b.peer);
    fflush(b.peer);
    ck_assert_str_eq(hear(&b), "T02thread:1;");
    expect_events(&b, "RESUME STOP ");
    ck_assert_int_eq(state_of(&b), RUN_STATE_PAUSED);
    bench_end(&b);
}
END_TEST

START_TEST(a_hardware_breakpoint_stops_the_vm_in_state_debug)
{
    static const FakeExit script[] = {
        {.reason = KVM_EXIT_DEBUG, .stop = {DEBUG_STOP_POINT, 0x1000, DEBUG_POINT_EXECUTE}},
    };
    Bench b;

    bench_start(&b, script, G_N_ELEMENTS(script));
    ask(&b, "Z1,1000,1", "OK");
    ask(&b, "vCont;c", "T05thread:1;hwbreak:;");
    ck_assert_int_eq(state_of(&b), RUN_STATE_DEBUG);
    expect_events(&b, "RESUME STOP ");
    ck_assert_uint_eq(debug_of(&b, 1).num_points, 1);
    ck_assert_uint_eq(debug_of(&b, 1).points[0].address, 0x1000);
    ask(&b, "z1,1000,1", "OK");
    ask(&b, "z1,1000,1", "E22");
    ask(&b, "D", "OK");
    bench_end(&b);
}
END_TEST

START_TEST(a_watchpoint_tells_the_address_that_was_touched)
{
    static const FakeExit script[] = {
        {.reason = KVM_EXIT_DEBUG, .stop = {DEBUG_STOP_POINT, 0x2000, DEBUG_POINT_WRITE}},
        {.reason = KVM_EXIT_DEBUG, .stop = {DEBUG_STOP_POINT, 0x2008, DEBUG_POINT_READ}},
        {.reason = KVM_EXIT_DEBUG, .stop = {DEBUG_STOP_POINT, 0x2010, DEBUG_POINT_ACCESS}},
    };
    Bench b;

    bench_start(&b, script, G_N_ELEMENTS(script));
    ask(&b, "Z2,2000,8", "OK");
    ask(&b, "Z3,2008,8", "OK");
    ask(&b, "Z4,2010,8", "OK");
    ask(&b, "c", "T05thread:1;watch:2000;");
    ask(&b, "c", "T05thread:1;rwatch:2008;");
    ask(&b, "C05", "T05thread:1;awatch:2010;");
    ask(&b, "Z1,1,1", "OK");
    ask(&b, "Z1,2,1", "E22"); /* the fake watches four */
    ask(&b, "Z5,1,1", "E22");
    ask(&b, "Z9", "E22");
    bench_end(&b);
}
END_TEST

START_TEST(a_software_breakpoint_is_in_memory_only_while_the_guest_runs)
{
    static const FakeExit script[] = {
        {.reason = KVM_EXIT_DEBUG, .stop = {.kind = DEBUG_STOP_SOFTWARE, .address = 0x9999}},
        {.reason = KVM_EXIT_DEBUG,
         .stop = {.kind = DEBUG_STOP_SOFTWARE, .address = 0xffffffff80001000}},
    };
    const uint8_t bytes = debug_target.breakpoint_bytes;
    g_autofree char *insert = g_strdup_printf("Z0,ffffffff80001000,%x", bytes);
    uint8_t code[4];
    Bench b;

    bench_start(&b, script, G_N_ELEMENTS(script));
    ask(&b, "M1000,4:11223344", "OK");
    ask(&b, insert, "OK");
    ask(&b, "m1000,4", "11223344");
    ask(&b, "vCont;c", "T05thread:1;swbreak:;");
    /* The first was the guest's own, and it got it. */
    ck_assert_uint_eq(given_back(&b), 1);
    ask(&b, "m1000,4", "11223344");
    say(&b, "c");
    while (read_code(&b, code) && memcmp(code, debug_target.breakpoint, bytes) != 0) {
        g_thread_yield(); /* until it is planted */
    }
    fputc(3, b.peer);
    fflush(b.peer);
    ck_assert_str_eq(hear(&b), "T02thread:1;");
    ask(&b, "m1000,4", "11223344");
    ask(&b, "Z0,7fffffff0000,1", "E22");
    bench_end(&b);
}
END_TEST

START_TEST(a_debugger_that_hangs_up_leaves_no_breakpoint_and_the_guest_running)
{
    g_autofree char *insert = g_strdup_printf("Z0,1000,%x", debug_target.breakpoint_bytes);
    Bench b;

    bench_start(&b, NULL, 0);
    ask(&b, "M1000,4:11223344", "OK");
    ask(&b, insert, "OK");
    say(&b, "c");
    fclose(b.peer);
    connect_peer(&b); /* which stops the guest */
    ask(&b, "?", "T05thread:1;");
    ask(&b, "m1000,4", "11223344");
    bench_end(&b);
}
END_TEST

START_TEST(a_step_holds_the_other_vcpus)
{
    static const FakeExit script[] = {
        {.reason = KVM_EXIT_DEBUG, .stop = {.kind = DEBUG_STOP_STEP, .address = 0x1001}},
        {.reason = KVM_EXIT_DEBUG, .stop = {.kind = DEBUG_STOP_STEP, .address = 0x1002}},
        {.reason = KVM_EXIT_DEBUG, .stop = {.kind = DEBUG_STOP_STEP, .address = 0x1003}},
    };
    Bench b;

    bench_start(&b, script, G_N_ELEMENTS(script));
    ask(&b, "vCont;s:1", "T05thread:1;");
    ck_assert(debug_of(&b, 0).step);
    ck_assert(debug_of(&b, 0).mask);
    ck_assert(!debug_of(&b, 1).step);
    ask(&b, "vCont;s:1;c", "T05thread:1;");
    ask(&b, "Hg1", "OK");
    ask(&b, "qqemu.sstepbits", "ENABLE=1,NOIRQ=2,NOTIMER=4");
    ask(&b, "Qqemu.sstep=1", "OK");
    ask(&b, "qqemu.sstep", "0x1");
    ask(&b, "Qqemu.sstep=8", "E22");
    ask(&b, "s", "T05thread:1;");
    ck_assert(!debug_of(&b, 0).mask);
    ask(&b, "vCont;", "E22");
    ask(&b, "vCont;x", "E22");
    ask(&b, "vCont;s:9", "E22");
    ask(&b, "C", "E22");
    ask(&b, "cxyz", "E22");
    bench_end(&b);
}
END_TEST

START_TEST(a_packet_with_a_wrong_sum_is_asked_for_again)
{
    Bench b;

    bench_start(&b, NULL, 0);
    fputs("$qC#00", b.peer);
    fflush(b.peer);
    ck_assert_int_eq(fgetc(b.peer), '-');
    fputs("$qC#zz", b.peer);
    fflush(b.peer);
    ck_assert_int_eq(fgetc(b.peer), '-');
    say(&b, "qC");
    ck_assert_str_eq(hear(&b), "QC1");
    bench_end(&b);
}
END_TEST

START_TEST(a_reply_that_was_garbled_is_sent_again)
{
    char text[8] = {0};
    Bench b;

    bench_start(&b, NULL, 0);
    say(&b, "qC");
    ck_assert_int_eq(fread(text, 1, 7, b.peer), 7);
    ck_assert_str_eq(text, "$QC1#c5");
    fputc('-', b.peer);
    fflush(b.peer);
    ck_assert_str_eq(hear(&b), "QC1");
    bench_end(&b);
}
END_TEST

START_TEST(a_packet_that_is_too_long_is_refused)
{
    g_autofree char *text = g_strnfill(5000, 'm');
    Bench b;

    bench_start(&b, NULL, 0);
    ask(&b, text, "E22");
    ask(&b, "qC", "QC1");
    bench_end(&b);
}
END_TEST

START_TEST(kill_ends_the_vm)
{
    Bench b;

    bench_start(&b, NULL, 0);
    ask(&b, "vKill;1", "OK");
    g_thread_join(b.thread); /* the loop has ended by itself */
    b.thread = g_thread_new("main loop", run_loop, &b);
    ck_assert_int_eq(state_of(&b), RUN_STATE_SHUTDOWN);
    expect_events(&b, "SHUTDOWN ");
    bench_end(&b);
}
END_TEST

START_TEST(a_vcpu_that_fails_is_told_as_an_abort)
{
    static const FakeExit script[] = {{.run_result = -EFAULT}};
    Bench b;

    bench_start(&b, script, G_N_ELEMENTS(script));
    ask(&b, "c", "T06thread:1;");
    ask(&b, "c", "T06thread:1;"); /* it cannot go on */
    ck_assert_int_eq(state_of(&b), RUN_STATE_INTERNAL_ERROR);
    bench_end(&b);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("gdb");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_session_begins_as_gdb_begins_it);
    tcase_add_test(tc, the_target_describes_itself_piece_by_piece);
    tcase_add_test(tc, registers_are_read_and_written_one_by_one_and_all_at_once);
    tcase_add_test(tc, memory_is_read_and_written_by_virtual_and_physical_addresses);
    tcase_add_test(tc, memory_that_ends_is_read_to_its_end);
    tcase_add_test(tc, the_guest_runs_until_it_is_interrupted);
    tcase_add_test(tc, a_hardware_breakpoint_stops_the_vm_in_state_debug);
    tcase_add_test(tc, a_watchpoint_tells_the_address_that_was_touched);
    tcase_add_test(tc, a_software_breakpoint_is_in_memory_only_while_the_guest_runs);
    tcase_add_test(tc, a_debugger_that_hangs_up_leaves_no_breakpoint_and_the_guest_running);
    tcase_add_test(tc, a_step_holds_the_other_vcpus);
    tcase_add_test(tc, a_packet_with_a_wrong_sum_is_asked_for_again);
    tcase_add_test(tc, a_reply_that_was_garbled_is_sent_again);
    tcase_add_test(tc, a_packet_that_is_too_long_is_refused);
    tcase_add_test(tc, kill_ends_the_vm);
    tcase_add_test(tc, a_vcpu_that_fails_is_told_as_an_abort);
    return suite_run("gdb", tc);
}
