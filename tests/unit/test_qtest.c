/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/qtest.h"

#include "machine/options.h"
#include "tests/unit/suite.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A VM under qtest in a thread of its own, and the test at the other end of its socket. */
typedef struct Bench {
    VmConfig *config;
    Loop *loop;
    Vm *vm;
    Qtest *qtest;
    GThread *thread;
    char *folder;
    FILE *peer;
} Bench;

static void *run_loop(void *opaque)
{
    Bench *b = opaque;

    loop_run(b->loop);
    return NULL;
}

static FILE *connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fdopen(fd, "r+");
}

static void bench_start(Bench *b)
{
    static const VmEventSink no_events = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    g_autofree char *option = NULL;
    OptionsOutcome outcome = {0};

    *b = (Bench){.config = vm_config_new(), .loop = loop_new("main")};
    b->folder = g_dir_make_tmp("stencil-qtest-XXXXXX", NULL);
    path = g_build_filename(b->folder, "qtest.sock", NULL);
    option = g_strdup_printf("unix:%s,server=on,wait=off", path);

    char *argv[] = {(char[]){"stencil"},
                    (char[]){"-accel"},
                    (char[]){"qtest"},
                    (char[]){"-qtest"},
                    option,
                    (char[]){"-serial"},
                    (char[]){"null"},
                    (char[]){"-device"},
                    (char[]){"virtio-rng-device"}};

    ck_assert(options_parse(G_N_ELEMENTS(argv), argv, b->config, &outcome, &error));
    ck_assert(vm_config_validate(b->config, &error));
    b->vm = vm_new(b->config, b->loop, &no_events, NULL, &error);
    ck_assert_msg(b->vm != NULL, "%s", error ? error->message : "");
    ck_assert(vm_boot(b->vm, &error));
    b->qtest = qtest_new(b->vm, b->config->qtest, &error);
    ck_assert_ptr_nonnull(b->qtest);
    b->thread = g_thread_new("main loop", run_loop, b);
    b->peer = connect_to(path);
}

static void bench_end(Bench *b)
{
    g_autofree char *path = g_build_filename(b->folder, "qtest.sock", NULL);

    fclose(b->peer);
    loop_quit(b->loop);
    g_thread_join(b->thread);
    qtest_free(b->qtest);
    vm_free(b->vm);
    loop_free(b->loop);
    vm_config_free(b->config);
    unlink(path);
    rmdir(b->folder);
    g_free(b->folder);
}

static void expect(Bench *b, const char *answer)
{
    char line[256];

    ck_assert_ptr_nonnull(fgets(line, sizeof(line), b->peer));
    g_strchomp(line);
    ck_assert_str_eq(line, answer);
}

static void ask(Bench *b, const char *command, const char *answer)
{
    fprintf(b->peer, "%s\n", command);
    fflush(b->peer);
    expect(b, answer);
}

START_TEST(memory_is_written_and_read_in_every_form)
{
    Bench b;

    bench_start(&b);
    ask(&b, "endianness", "OK little");
    ask(&b, "writeq 0x1000 0x1122334455667788", "OK");
    ask(&b, "readq 0x1000", "OK 0x1122334455667788");
    ask(&b, "readb 0x1001", "OK 0x0000000000000077");
    ask(&b, "read 0x1000 4", "OK 0x88776655");
    ask(&b, "write 0x1000 3 0x0102ff", "OK");
    ask(&b, "b64read 0x1000 4", "OK AQL/VQ==");
    ask(&b, "b64write 0x2000 4 AQL/VQ==", "OK");
    ask(&b, "readl 0x2000", "OK 0x0000000055ff0201");
    ask(&b, "memset 0x1000 8 0xa5", "OK");
    ask(&b, "readq 0x1000", "OK 0xa5a5a5a5a5a5a5a5");
    bench_end(&b);
}
END_TEST

START_TEST(device_registers_answer_at_their_addresses)
{
    Bench b;

    bench_start(&b);
    ask(&b, "readl 0xf0100000", "OK 0x0000000074726976");
    ask(&b, "readl 0xf0100004", "OK 0x0000000000000002");
    ask(&b, "readl 0xf0100008", "OK 0x0000000000000004");
    ask(&b, "inb 0x3fd", "OK 0x0060");
    ask(&b, "outb 0x3ff 0x5a", "OK");
    ask(&b, "inb 0x3ff", "OK 0x005a");
    ask(&b, "inb 0x2000", "OK 0x00ff");
    bench_end(&b);
}
END_TEST

START_TEST(the_clock_moves_only_when_it_is_told_to)
{
    Bench b;

    bench_start(&b);
    ask(&b, "clock_step 1000", "OK 1000");
    ask(&b, "clock_step 500", "OK 1500");
    ask(&b, "clock_set 7000", "OK 7000");
    ask(&b, "clock_step", "OK 7000");
    bench_end(&b);
}
END_TEST

/* THR empty, enabled while it is empty, interrupts at once: ISA interrupt 4. */
START_TEST(interrupts_are_told_once_they_are_intercepted)
{
    Bench b;

    bench_start(&b);
    ask(&b, "irq_intercept_in ioapic", "OK");
    ask(&b, "outb 0x3fc 0x08", "OK");
    ask(&b, "outb 0x3f9 0x02", "IRQ raise 4");
    expect(&b, "OK");
    ask(&b, "inb 0x3fa", "IRQ lower 4");
    expect(&b, "OK 0x0002");
    bench_end(&b);
}
END_TEST

START_TEST(nonsense_is_answered_with_the_reason)
{
    Bench b;

    bench_start(&b);
    ask(&b, "fly 1", "FAIL Unknown command 'fly'");
    ask(&b, "", "FAIL Unknown command ''");
    ask(&b, "inb", "FAIL inb: argument 1: expected a number, got 'nothing'");
    ask(&b, "readl zero", "FAIL readl: argument 1: expected a number, got 'zero'");
    ask(&b, "read 0 99999999", "FAIL read: size 99999999 is not in 1..4194304");
    bench_end(&b);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("qtest");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, memory_is_written_and_read_in_every_form);
    tcase_add_test(tc, device_registers_answer_at_their_addresses);
    tcase_add_test(tc, the_clock_moves_only_when_it_is_told_to);
    tcase_add_test(tc, interrupts_are_told_once_they_are_intercepted);
    tcase_add_test(tc, nonsense_is_answered_with_the_reason);
    return suite_run("qtest", tc);
}
