/* SPDX-License-Identifier: Apache-2.0 */
/* Memory into files, by the guest's addresses and by a vCPU's, and registers. */
#include "hypervisor/debug.h"
#include "hypervisor/fake.h"
#include "tests/support/qmp_work_bench.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define RAM_BYTES (4 * MIB)
#define UPPER     (UINT64_C(1) << 63) /* the fake's vCPUs see RAM there, from 0 on */

static QmpWorkBench work;

static void make_larger(VmConfig *config)
{
    config->memory.size = RAM_BYTES;
    config->memory.max_size = RAM_BYTES;
    config->smp.cpus = 2;
    config->smp.max_cpus = 2;
}

static void set_up(void)
{
    qmp_work_bench_begin(&work, make_larger);
    qmp_work_bench_connect(&work, /* oob= */ true);
}

static void tear_down(void)
{
    qmp_work_bench_end(&work);
}

/* Different bytes everywhere. */
static void fill_ram(void)
{
    uint8_t *ram = guest_mem_ptr(work.bench.vm->memory, GPA(0), RAM_BYTES, GUEST_WRITE, NULL);

    for (uint64_t at = 0; at < RAM_BYTES; at += 8) {
        store_le64(ram + at, at * UINT64_C(0x9e3779b97f4a7c15));
    }
}

/* more begins with a comma, or is empty. */
static char *request(const char *command, uint64_t val, uint64_t size, const char *filename,
                     const char *more)
{
    return g_strdup_printf("{\"execute\":\"%s\",\"arguments\":{\"val\":%" PRIu64
                           ",\"size\":%" PRIu64 ",\"filename\":\"%s\"%s}}",
                           command, val, size, filename, more);
}

static void save(const char *command, uint64_t val, uint64_t size, const char *more,
                 const char *answer)
{
    g_autofree char *text = request(command, val, size, work.path, more);

    qmp_work_bench_expect(&work, text, "");
    qmp_work_bench_expect_later(&work, answer);
}

static void refused(const char *command, uint64_t val, uint64_t size, const char *more,
                    const char *answer)
{
    g_autofree char *text = request(command, val, size, work.path, more);

    qmp_work_bench_expect(&work, text, answer);
    ck_assert_int_ne(access(work.path, F_OK), 0);
}

static void expect_file(uint64_t gpa, uint64_t size)
{
    const GuestMemory *memory = work.bench.vm->memory;
    g_autofree char *content = NULL;
    gsize len;

    ck_assert(g_file_get_contents(work.path, &content, &len, NULL));
    ck_assert_uint_eq(len, size);
    if (size > 0) {
        ck_assert_mem_eq(content, guest_mem_ptr(memory, GPA(gpa), size, GUEST_READ, NULL), size);
    }
}

/* ---- by a vCPU's addresses ---- */

START_TEST(memory_is_found_where_a_vcpu_sees_it)
{
    fill_ram();
    save("memsave", UPPER + 5000, 10000, "", ANSWER_RETURN);
    expect_file(5000, 10000);
    save("memsave", 4096, 1, ",\"cpu-index\":1", ANSWER_RETURN);
    expect_file(4096, 1);
    save("memsave", UPPER + RAM_BYTES - 1, 1, "", ANSWER_RETURN);
    expect_file(RAM_BYTES - 1, 1);
}
END_TEST

/* Begins and ends within a page, and takes several rounds of asking. */
START_TEST(all_of_a_long_range_is_in_the_file)
{
    fill_ram();
    save("memsave", UPPER + 1, RAM_BYTES - 2, "", ANSWER_RETURN);
    expect_file(1, RAM_BYTES - 2);
    save("memsave", UPPER, RAM_BYTES, ",\"cpu-index\":0", ANSWER_RETURN);
    expect_file(0, RAM_BYTES);
}
END_TEST

START_TEST(nothing_is_a_file_without_content)
{
    save("memsave", 0, 0, "", ANSWER_RETURN);
    expect_file(0, 0);
    save("pmemsave", UINT64_MAX, 0, "", ANSWER_RETURN);
    expect_file(0, 0);
}
END_TEST

START_TEST(a_vm_that_runs_goes_on)
{
    fill_ram();
    ck_assert(vm_cont(work.bench.vm, NULL));
    g_free(qmp_bench_read(work.session));
    save("memsave", UPPER, RAM_BYTES, "", ANSWER_RETURN);
    expect_file(0, RAM_BYTES);
    ck_assert_int_eq(work.bench.vm->state, RUN_STATE_RUNNING);
}
END_TEST

START_TEST(what_is_not_there_is_refused_before_there_is_a_file)
{
    refused("memsave", FAKE_VIRTUAL_END, 1, "",
            ANSWER_ERROR("vCPU 0: virtual address 0x400000000000 is not mapped"));
    refused("memsave", UPPER + RAM_BYTES + 5, 1, "",
            ANSWER_ERROR("virtual address 0x8000000000400005: guest range 0x400005 +0x1 is not "
                         "in one block of RAM"));
    refused("memsave", UINT64_MAX, 2, "",
            ANSWER_ERROR("0x2 bytes at virtual address 0xffffffffffffffff go beyond the last "
                         "address"));
    refused("memsave", 1, UINT64_MAX, ",\"cpu-index\":2",
            ANSWER_ERROR("there is no vCPU 2: expected a number below 2"));
    refused("memsave", 0, 1, ",\"cpu-index\":-1",
            ANSWER_ERROR("there is no vCPU -1: expected a number below 2"));
    refused("memsave", 0, 1, ",\"cpu-index\":\"0\"",
            ANSWER_ERROR("Invalid parameter type for 'cpu-index', expected: integer (got: "
                         "string)"));
    refused("pmemsave", RAM_BYTES, 1, "",
            ANSWER_ERROR("0x1 bytes at guest address 0x400000: there is no RAM at 0x400000"));
    qmp_work_bench_expect(&work,
                          "{\"execute\":\"memsave\",\"arguments\":{\"val\":0,\"size\":1,"
                          "\"filename\":\"/no/x\"}}",
                          ANSWER_ERROR("cannot open '/no/x' for writing: No such file or "
                                       "directory"));
}
END_TEST

START_TEST(a_range_that_ends_leaves_no_file_but_one_that_was_there)
{
    static const char answer[] =
        ANSWER_ERROR("virtual address 0x8000000000400000: guest range 0x400000 +0x8 is not in "
                     "one block of RAM");

    save("memsave", UPPER + 8, RAM_BYTES, "", answer);
    ck_assert_int_ne(access(work.path, F_OK), 0);
    ck_assert(g_file_set_contents(work.path, "old", 3, NULL));
    save("memsave", UPPER + 8, RAM_BYTES, "", answer);
    ck_assert_int_eq(access(work.path, F_OK), 0);
}
END_TEST

START_TEST(a_save_that_fails_removes_the_file_that_it_made)
{
    const struct rlimit small = {.rlim_cur = MIB, .rlim_max = RLIM_INFINITY};
    g_autofree char *answer = g_strdup_printf(ANSWER_ERROR("%s: write: File too large"), work.path);

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    save("pmemsave", 0, RAM_BYTES, "", answer);
    ck_assert_int_ne(access(work.path, F_OK), 0);
    save("memsave", 0, RAM_BYTES, "", answer);
    ck_assert_int_ne(access(work.path, F_OK), 0);
}
END_TEST

START_TEST(a_descriptor_set_is_a_file_too)
{
    g_autofree char *text = request("memsave", UPPER, MIB, "/dev/fdset/3", "");
    int fd = open(work.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    fill_ram();
    ck_assert_ptr_nonnull(fd_sets_add(work.bench.vm->fd_sets, 3, fd, NULL, NULL));
    qmp_work_bench_expect(&work, text, "");
    qmp_work_bench_expect_later(&work, ANSWER_RETURN);
    expect_file(0, MIB);
    ck_assert(fd_sets_remove(work.bench.vm->fd_sets, 3, -1));
    qmp_work_bench_expect(&work, text,
                          ANSWER_ERROR("cannot open '/dev/fdset/3': there is no descriptor set 3"));
}
END_TEST

START_TEST(yank_cancels_one_that_nobody_reads)
{
    auto_fd int fd = qmp_work_bench_open_pipe(&work);
    g_autofree char *text = request("memsave", UPPER, RAM_BYTES, work.path, "");

    ck_assert_int_ge(fd, 0);
    qmp_work_bench_expect(&work, text, "");
    qmp_work_bench_expect(&work, ASK_YANK, ANSWER_RETURN);
    qmp_work_bench_expect_later(&work, ANSWER_ERROR("The command was cancelled"));
}
END_TEST

/* ---- registers ---- */

static void expect_register(const char *name, unsigned vcpu, const char *answer)
{
    g_autofree char *text = g_strdup_printf(
        "{\"execute\":\"query-vcpu-reg\",\"arguments\":{\"addr\":\"%s\",\"vcpu\":%u}}", name, vcpu);

    qmp_work_bench_expect(&work, text, answer);
}

static bool set_registers(Vcpu *vcpu, void *opaque, GError **error)
{
    const uint8_t *block = opaque;

    return vcpu->index != 1 || vcpu->hypervisor->ops->debug->write_registers(vcpu, block, error);
}

START_TEST(registers_are_read_by_name_and_by_number)
{
    size_t bytes = debug_register_offset(&debug_target, debug_target.num_registers);
    const char *pc = debug_target.registers[debug_target.pc].name;
    g_autofree char *upper = g_ascii_strup(pc, -1);
    g_autofree uint8_t *block = g_malloc0(bytes);

    store_le64(block + debug_register_offset(&debug_target, debug_target.pc), 0x123456789abcdef0);
    store_le64(block, 0xf);
    ck_assert(vcpus_each(work.bench.vm->vcpus, set_registers, block, NULL));
    expect_register(pc, 1, "{\"return\": \"123456789ABCDEF0\"}\r\n");
    expect_register(upper, 1, "{\"return\": \"123456789ABCDEF0\"}\r\n");
    expect_register(debug_target.registers[0].name, 1, "{\"return\": \"F\"}\r\n");
    expect_register(pc, 0, "{\"return\": \"0\"}\r\n");
    expect_register("c0000080", 0, "{\"return\": \"C0000080\"}\r\n");
}
END_TEST

START_TEST(a_register_that_is_not_there_is_named)
{
    const char *pc = debug_target.registers[debug_target.pc].name;
    static const char *const wrong[] = {"nosuch", "", "0x10", "-1", "10000000000000000"};

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *answer =
            g_strdup_printf(ANSWER_ERROR("vCPU 0: there is no register '%s': expected a name as in "
                                         "'%s', or a number in hexadecimal"),
                            wrong[i], pc);

        expect_register(wrong[i], 0, answer);
    }
    expect_register("603000000013df1a", 1,
                    ANSWER_ERROR("vCPU 1: the fake has no register 0x603000000013df1a"));
    expect_register(pc, 2, ANSWER_ERROR("there is no vCPU 2: expected a number below 2"));
    qmp_work_bench_expect(&work,
                          "{\"execute\":\"query-vcpu-reg\",\"arguments\":{\"addr\":\"pc\","
                          "\"vcpu\":-1}}",
                          ANSWER_ERROR("there is no vCPU -1: expected a number below 2"));
    qmp_work_bench_expect(&work, "{\"execute\":\"query-vcpu-reg\",\"arguments\":{\"vcpu\":0}}",
                          ANSWER_ERROR("Parameter 'addr' is missing"));
}
END_TEST

START_TEST(a_vm_that_runs_is_asked_and_goes_on)
{
    const char *pc = debug_target.registers[debug_target.pc].name;

    ck_assert(vm_cont(work.bench.vm, NULL));
    g_free(qmp_bench_read(work.session));
    expect_register(pc, 0, "{\"return\": \"0\"}\r\n");
    ck_assert_int_eq(work.bench.vm->state, RUN_STATE_RUNNING);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("qmp_memory");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, memory_is_found_where_a_vcpu_sees_it);
    tcase_add_test(tc, all_of_a_long_range_is_in_the_file);
    tcase_add_test(tc, nothing_is_a_file_without_content);
    tcase_add_test(tc, a_vm_that_runs_goes_on);
    tcase_add_test(tc, what_is_not_there_is_refused_before_there_is_a_file);
    tcase_add_test(tc, a_range_that_ends_leaves_no_file_but_one_that_was_there);
    tcase_add_test(tc, a_save_that_fails_removes_the_file_that_it_made);
    tcase_add_test(tc, a_descriptor_set_is_a_file_too);
    tcase_add_test(tc, yank_cancels_one_that_nobody_reads);
    tcase_add_test(tc, registers_are_read_by_name_and_by_number);
    tcase_add_test(tc, a_register_that_is_not_there_is_named);
    tcase_add_test(tc, a_vm_that_runs_is_asked_and_goes_on);
    return suite_run("qmp_memory", tc);
}
