/* SPDX-License-Identifier: Apache-2.0 */
/* dump-guest-memory: what is in the file, what is refused, and what goes on meanwhile. */
#include "hypervisor/debug.h"
#include "machine/core_file.h"
#include "tests/support/qmp_work_bench.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/fd.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAM_BYTES  MIB
#define FILE_BYTES (PAGE_BYTES + RAM_BYTES) /* the head of a dump with one vCPU fits a page */
#define BUSY       ANSWER_ERROR("There is a dump in process, please wait.")
#define QUERY      "{\"execute\":\"query-dump\"}"

static QmpWorkBench work;

static void set_up(void)
{
    qmp_work_bench_begin(&work, /* prepare= */ NULL);
    qmp_work_bench_connect(&work, /* oob= */ true);
}

static void tear_down(void)
{
    qmp_work_bench_end(&work);
}

static void expect(const char *command, const char *answer)
{
    qmp_work_bench_expect(&work, command, answer);
}

/* Runs until text has been said; the names of events and answers until then, in order. */
static char *hear_until(GString *said, const char *text)
{
    GString *names = g_string_new(NULL);
    g_auto(GStrv) lines = NULL;

    while (!strstr(said->str, text)) {
        qmp_work_bench_hear(&work, said);
    }
    lines = g_strsplit(said->str, "\r\n", -1);
    for (char **line = lines; **line != '\0'; line++) {
        const char *event = strstr(*line, "\"event\": \"");
        size_t len = event ? strcspn(event + 10, "\"") : 0;

        g_string_append_printf(names, "%.*s ", event ? (int)len : 6,
                               event ? event + 10 : *line + 2);
    }
    return g_string_free(names, /* free_segment= */ FALSE);
}

/* more begins with a comma, or is empty. */
static char *request(const char *protocol, const char *more)
{
    return g_strdup_printf("{\"execute\":\"dump-guest-memory\",\"arguments\":{\"paging\":false,"
                           "\"protocol\":\"%s\"%s}}",
                           protocol, more);
}

static void refused(const char *protocol, const char *more, const char *answer)
{
    g_autofree char *command = request(protocol, more);

    expect(command, answer);
}

static void begin(const char *protocol, const char *more, const char *answer)
{
    g_autofree char *command = request(protocol, more);
    g_autofree char *got = qmp_bench_ask(work.session, command);

    ck_assert_msg(g_str_has_suffix(got, answer), "%s", got);
}

/* A dump from its command to its answer: the names of what was said. */
static char *dump_to(const char *protocol, const char *more)
{
    g_autofree char *command = request(protocol, more);
    g_autofree char *first = qmp_bench_ask(work.session, command);
    GString *said = g_string_new(first);
    char *names = hear_until(said, "{\"return\"");

    g_string_free(said, TRUE);
    return names;
}

static void dump(const char *more)
{
    g_autofree char *protocol = g_strconcat("file:", work.path, NULL);
    g_autofree char *names = dump_to(protocol, more);

    ck_assert_str_eq(names, "DUMP_COMPLETED return ");
}

static void expect_status(const char *status, uint64_t completed, uint64_t total)
{
    g_autofree char *answer =
        g_strdup_printf("{\"return\": {\"status\": \"%s\", \"completed\": %" G_GUINT64_FORMAT
                        ", \"total\": %" G_GUINT64_FORMAT "}}\r\n",
                        status, completed, total);

    expect(QUERY, answer);
}

static GByteArray *read_file(void)
{
    char *content;
    gsize len;

    ck_assert(g_file_get_contents(work.path, &content, &len, NULL));
    return g_byte_array_new_take((uint8_t *)content, len);
}

static Elf64_Phdr segment(const uint8_t *file, unsigned index)
{
    Elf64_Phdr phdr;

    memcpy(&phdr, file + sizeof(Elf64_Ehdr) + index * sizeof(phdr), sizeof(phdr));
    return phdr;
}

static void expect_ram(const uint8_t *file, uint64_t gpa, uint64_t len)
{
    Elf64_Phdr load = segment(file, 1);
    g_autofree uint8_t *ram = g_malloc(len);

    ck_assert_uint_eq(load.p_type, PT_LOAD);
    ck_assert_uint_eq(load.p_paddr, gpa);
    ck_assert_uint_eq(load.p_filesz, len);
    ck_assert(guest_mem_read(work.bench.vm->memory, GPA(gpa), ram, len, NULL));
    ck_assert_mem_eq(file + load.p_offset, ram, len);
}

static void write_ram(uint64_t gpa, const char *text)
{
    ck_assert(guest_mem_write(work.bench.vm->memory, GPA(gpa), text, strlen(text), NULL));
}

/* Every page, so that a pipe is not fast. */
static void fill_ram(void)
{
    for (uint64_t at = 0; at < RAM_BYTES; at += PAGE_BYTES) {
        write_ram(at, "page");
    }
}

/* What is dumped waits for whoever reads. */
static int open_pipe(void)
{
    fill_ram();
    return qmp_work_bench_open_pipe(&work);
}

static void read_dump(int fd)
{
    g_autofree uint8_t *file = qmp_work_bench_read_pipe(fd, FILE_BYTES);

    expect_ram(file, 0, RAM_BYTES);
}

/* ---- the file ---- */

static bool set_registers(Vcpu *vcpu, void *opaque, GError **error)
{
    return vcpu->hypervisor->ops->debug->write_registers(vcpu, opaque, error);
}

START_TEST(registers_and_ram_are_in_the_file)
{
    size_t bytes = debug_register_offset(&debug_target, debug_target.num_registers);
    g_autofree uint8_t *block = g_malloc0(bytes);
    g_autoptr(GByteArray) file = NULL;
    const uint8_t *prstatus;
    bool found = false;

    store_le64(block + debug_register_offset(&debug_target, debug_target.pc), 0x123456789abcdef0);
    ck_assert(vcpus_each(work.bench.vm->vcpus, set_registers, block, NULL));
    write_ram(5000, "sesame");
    dump("");
    file = read_file();
    ck_assert_uint_eq(file->len, FILE_BYTES);
    ck_assert_mem_eq(file->data, ELFMAG, SELFMAG);
    expect_ram(file->data, 0, RAM_BYTES);
    ck_assert_uint_eq(segment(file->data, 0).p_type, PT_NOTE);
    ck_assert_uint_eq(segment(file->data, 0).p_filesz,
                      sizeof(Elf64_Nhdr) + 8 + core_target.prstatus_bytes);
    prstatus = file->data + segment(file->data, 0).p_offset + sizeof(Elf64_Nhdr) + 8;
    for (size_t i = 0; i < core_target.num_registers; i++) {
        found |= load_le64(prstatus + core_target.registers_at + 8 * i) == 0x123456789abcdef0;
    }
    ck_assert(found);
    expect_status("completed", RAM_BYTES, RAM_BYTES);
}
END_TEST

START_TEST(zeroes_are_holes_of_a_file)
{
    struct stat st;

    write_ram(5000, "sesame");
    dump("");
    ck_assert_int_eq(stat(work.path, &st), 0);
    ck_assert_int_eq(st.st_size, FILE_BYTES);
    ck_assert_int_lt(st.st_blocks * 512, FILE_BYTES / 4);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(a_part_of_ram_can_be_asked_for)
{
    g_autoptr(GByteArray) file = NULL;

    write_ram(5000, "sesame");
    dump(",\"begin\":4999,\"length\":9,\"format\":\"elf\",\"detach\":false");
    file = read_file();
    ck_assert_uint_eq(file->len, PAGE_BYTES + 9);
    expect_ram(file->data, 4999, 9);
    expect_status("completed", 9, 9);
}
END_TEST

START_TEST(what_a_file_held_is_gone)
{
    g_autofree char *old = g_malloc(2 * FILE_BYTES);
    g_autoptr(GByteArray) file = NULL;

    memset(old, 0xff, 2 * FILE_BYTES);
    ck_assert(g_file_set_contents(work.path, old, 2 * FILE_BYTES, NULL));
    write_ram(5000, "sesame");
    dump("");
    file = read_file();
    ck_assert_uint_eq(file->len, FILE_BYTES);
    expect_ram(file->data, 0, RAM_BYTES);
}
END_TEST

/* ---- descriptors ---- */

static void pass(const char *name, int flags)
{
    int fd = open(work.path, flags | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    qmp_session_name_fd(work.session, name, fd);
}

START_TEST(a_descriptor_is_written_from_where_it_is)
{
    g_autofree char *old = g_malloc(FILE_BYTES / 2);
    g_autofree char *names = NULL;
    g_autoptr(GByteArray) file = NULL;
    int fd;

    /* Zeroes must overwrite what is there, and are holes behind it. */
    memset(old, 0xff, FILE_BYTES / 2);
    ck_assert(g_file_set_contents(work.path, old, FILE_BYTES / 2, NULL));
    fd = open(work.path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(lseek(fd, 3, SEEK_SET), 3);
    qmp_session_name_fd(work.session, "core", fd);
    write_ram(RAM_BYTES / 2, "sesame");
    names = dump_to("fd:core", "");
    ck_assert_str_eq(names, "DUMP_COMPLETED return ");
    file = read_file();
    ck_assert_uint_eq(file->len, 3 + FILE_BYTES);
    ck_assert_mem_eq(file->data, "\377\377\377", 3);
    expect_ram(file->data + 3, 0, RAM_BYTES);
    refused("fd:core", "", ANSWER_ERROR("File descriptor named 'core' has not been found"));
}
END_TEST

START_TEST(what_is_appended_to_has_no_holes)
{
    g_autofree char *names = NULL;
    g_autoptr(GByteArray) file = NULL;

    ck_assert(g_file_set_contents(work.path, "old", 3, NULL));
    pass("core", O_WRONLY | O_APPEND);
    write_ram(5000, "sesame");
    names = dump_to("fd:core", "");
    ck_assert_str_eq(names, "DUMP_COMPLETED return ");
    file = read_file();
    ck_assert_uint_eq(file->len, 3 + FILE_BYTES);
    expect_ram(file->data + 3, 0, RAM_BYTES);
}
END_TEST

START_TEST(a_descriptor_set_can_be_named_both_ways)
{
    static const char *const protocols[] = {"file:/dev/fdset/3", "fd:3"};

    write_ram(5000, "sesame");
    for (size_t i = 0; i < G_N_ELEMENTS(protocols); i++) {
        g_autofree char *names = NULL;
        g_autoptr(GByteArray) file = NULL;
        int fd = open(work.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        ck_assert_ptr_nonnull(fd_sets_add(work.bench.vm->fd_sets, 3, fd, NULL, NULL));
        names = dump_to(protocols[i], "");
        ck_assert_str_eq(names, "DUMP_COMPLETED return ");
        file = read_file();
        ck_assert_uint_eq(file->len, FILE_BYTES);
        expect_ram(file->data, 0, RAM_BYTES);
        ck_assert(fd_sets_remove(work.bench.vm->fd_sets, 3, -1));
    }
    refused("fd:3", "", ANSWER_ERROR("cannot open '/dev/fdset/3': there is no descriptor set 3"));
}
END_TEST

START_TEST(a_descriptor_must_be_writable)
{
    ck_assert(g_file_set_contents(work.path, "old", 3, NULL));
    pass("core", O_RDONLY);
    refused("fd:core", "", ANSWER_ERROR("core: the descriptor cannot be written to"));
    ck_assert_int_eq(access(work.path, F_OK), 0);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(arguments_are_checked_before_there_is_a_file)
{
    g_autofree char *protocol = g_strconcat("file:", work.path, NULL);
    g_autofree char *paging =
        g_strdup_printf("{\"execute\":\"dump-guest-memory\",\"arguments\":{\"paging\":true,"
                        "\"protocol\":\"%s\"}}",
                        protocol);

    expect(paging,
           ANSWER_ERROR("Parameter 'paging' is true: the guest's page tables are not walked, "
                        "expected false"));
    expect("{\"execute\":\"dump-guest-memory\",\"arguments\":{\"protocol\":\"file:x\"}}",
           ANSWER_ERROR("Parameter 'paging' is missing"));
    expect("{\"execute\":\"dump-guest-memory\",\"arguments\":{\"paging\":false}}",
           ANSWER_ERROR("Parameter 'protocol' is missing"));
    refused(protocol, ",\"begin\":0", ANSWER_ERROR("Parameter 'length' is missing"));
    refused(protocol, ",\"length\":1", ANSWER_ERROR("Parameter 'begin' is missing"));
    refused(protocol, ",\"begin\":-1,\"length\":1",
            ANSWER_ERROR("Parameter 'begin' expects uint64 (got: -1)"));
    refused(protocol, ",\"begin\":1048576,\"length\":4096",
            ANSWER_ERROR(
                "dump: no guest memory to dump: there is no RAM in 0x1000 bytes at guest address "
                "0x100000"));
    refused(
        protocol, ",\"begin\":0,\"length\":0",
        ANSWER_ERROR("dump: no guest memory to dump: there is no RAM in 0x0 bytes at guest address "
                     "0x0"));
    refused(protocol, ",\"format\":\"kdump-zlib\"",
            ANSWER_ERROR("Parameter 'format' does not accept value 'kdump-zlib'"));
    refused("core", "", ANSWER_ERROR("parameter 'protocol' must start with 'file:' or 'fd:'"));
    refused("tcp:1", "", ANSWER_ERROR("parameter 'protocol' must start with 'file:' or 'fd:'"));
    refused("fd:", "", ANSWER_ERROR("File descriptor named '' has not been found"));
    refused("file:/no/x", "",
            ANSWER_ERROR("cannot open '/no/x' for writing: No such file or directory"));
    ck_assert_int_ne(access(work.path, F_OK), 0);
    expect_status("none", 0, 0);
}
END_TEST

START_TEST(a_vm_that_waits_for_a_template_is_not_dumped)
{
    g_autofree char *protocol = g_strconcat("file:", work.path, NULL);

    work.bench.vm->state = RUN_STATE_INMIGRATE;
    refused(protocol, "", ANSWER_ERROR("Dump not allowed during incoming migration."));
    ck_assert_int_ne(access(work.path, F_OK), 0);
    work.bench.vm->state = RUN_STATE_PRELAUNCH;
}
END_TEST

START_TEST(elf_is_what_there_is)
{
    expect("{\"execute\":\"query-dump-guest-memory-capability\"}",
           "{\"return\": {\"formats\": [\"elf\"]}}\r\n");
}
END_TEST

/* ---- the VM ---- */

START_TEST(a_vm_that_runs_stands_still_and_goes_on)
{
    g_autofree char *protocol = g_strconcat("file:", work.path, NULL);
    g_autofree char *names = NULL;

    ck_assert(vm_cont(work.bench.vm, NULL));
    g_free(qmp_bench_read(work.session));
    names = dump_to(protocol, "");
    ck_assert_str_eq(names, "STOP DUMP_COMPLETED RESUME return ");
    ck_assert_int_eq(work.bench.vm->state, RUN_STATE_RUNNING);
}
END_TEST

START_TEST(nothing_else_moves_the_vm_meanwhile)
{
    g_autofree char *protocol = g_strconcat("file:", work.path, NULL);
    GString *said = g_string_new(NULL);
    g_autofree char *names = NULL;
    auto_fd int fd = open_pipe();

    ck_assert(vm_cont(work.bench.vm, NULL));
    g_free(qmp_bench_read(work.session));
    begin(protocol, ",\"detach\":true", ANSWER_RETURN);
    expect("{\"execute\":\"query-status\"}", "{\"return\": {\"status\": \"save-vm\", "
                                             "\"singlestep\": false, \"running\": false}}\r\n");
    expect("{\"execute\":\"cont\"}", BUSY);
    expect("{\"execute\":\"stop\"}", BUSY);
    expect("{\"execute\":\"system_reset\"}", BUSY);
    refused(protocol, "", BUSY);
    expect("{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"file:/no/x\"}}",
           ANSWER_ERROR("Live migration disabled: dump-guest-memory in progress"));
    /* What the guest asked for comes when the dump is over. */
    vm_request(work.bench.vm, &(VmRequest){.kind = VM_REQUEST_RESET, .reason = "guest-reset"});
    qmp_bench_settle(&work.bench);
    read_dump(fd);
    names = hear_until(said, "\"RESET\"");
    ck_assert_str_eq(names, "DUMP_COMPLETED RESUME RESET ");
    ck_assert_int_eq(work.bench.vm->state, RUN_STATE_RUNNING);
    g_string_free(said, TRUE);
}
END_TEST

/* ---- detached ---- */

START_TEST(a_detached_dump_is_answered_at_once)
{
    g_autofree char *protocol = g_strconcat("file:", work.path, NULL);
    GString *said = g_string_new(NULL);
    g_autofree char *names = NULL;
    g_autofree char *early = NULL;
    auto_fd int fd = open_pipe();

    begin(protocol, ",\"detach\":true", ANSWER_RETURN);
    early = qmp_bench_ask(work.session, QUERY);
    ck_assert(g_str_has_prefix(early, "{\"return\": {\"status\": \"active\", \"completed\": "));
    ck_assert(g_str_has_suffix(early, ", \"total\": 1048576}}\r\n"));
    read_dump(fd);
    names = hear_until(said, "DUMP_COMPLETED");
    ck_assert_str_eq(names, "DUMP_COMPLETED ");
    ck_assert_ptr_nonnull(strstr(said->str, "\"data\": {\"result\": {\"status\": \"completed\", "
                                            "\"completed\": 1048576, \"total\": 1048576}}"));
    expect_status("completed", RAM_BYTES, RAM_BYTES);
    g_string_free(said, TRUE);
}
END_TEST

START_TEST(a_detached_dump_outlives_its_session)
{
    g_autofree char *protocol = g_strconcat("file:", work.path, NULL);
    auto_fd int fd = open_pipe();

    begin(protocol, ",\"detach\":true", ANSWER_RETURN);
    qmp_session_free(work.session);
    qmp_work_bench_connect(&work, /* oob= */ false);
    read_dump(fd);
    for (;;) {
        g_autofree char *status = qmp_bench_ask(work.session, QUERY);

        if (strstr(status, "\"completed\", ")) {
            break;
        }
        qmp_bench_settle(&work.bench);
    }
}
END_TEST

START_TEST(the_event_says_why_a_dump_failed)
{
    g_autofree char *protocol = g_strconcat("file:", work.path, NULL);
    g_autofree char *error = NULL;
    GString *said = g_string_new(NULL);
    g_autofree char *names = NULL;
    int fd = open_pipe();

    ck_assert(vm_cont(work.bench.vm, NULL));
    g_free(qmp_bench_read(work.session));
    begin(protocol, ",\"detach\":true", ANSWER_RETURN);
    fd_close(&fd); /* nobody reads any more */
    names = hear_until(said, "RESUME");
    ck_assert_str_eq(names, "DUMP_COMPLETED RESUME ");
    ck_assert_ptr_nonnull(strstr(said->str, "\"data\": {\"result\": {\"status\": \"failed\", "));
    error = g_strdup_printf("\"error\": \"%s: write: Broken pipe\"", work.path);
    ck_assert_ptr_nonnull(strstr(said->str, error));
    /* It was there before. */
    ck_assert_int_eq(access(work.path, F_OK), 0);
    g_string_free(said, TRUE);
}
END_TEST

START_TEST(a_vm_that_ends_takes_its_dump_along)
{
    g_autofree char *protocol = g_strconcat("file:", work.path, NULL);
    auto_fd int fd = open_pipe();

    ck_assert_int_ge(fd, 0);
    begin(protocol, ",\"detach\":true", ANSWER_RETURN);
}
END_TEST

/* ---- failure and cancelling ---- */

START_TEST(yank_cancels_and_the_vm_goes_on)
{
    g_autofree char *protocol = g_strconcat("file:", work.path, NULL);
    GString *said = g_string_new(NULL);
    g_autofree char *names = NULL;
    auto_fd int fd = open_pipe();

    ck_assert_int_ge(fd, 0);
    ck_assert(vm_cont(work.bench.vm, NULL));
    g_free(qmp_bench_read(work.session));
    begin(protocol, "", "");
    expect(ASK_YANK, ANSWER_RETURN);
    names = hear_until(said, "{\"error\": {\"class\": \"GenericError\", \"desc\": "
                             "\"The command was cancelled\"}}");
    ck_assert_str_eq(names, "DUMP_COMPLETED RESUME error\" ");
    ck_assert_int_eq(work.bench.vm->state, RUN_STATE_RUNNING);
    g_string_free(said, TRUE);
}
END_TEST

START_TEST(a_session_that_ends_cancels_and_the_vm_goes_on)
{
    g_autofree char *protocol = g_strconcat("file:", work.path, NULL);
    auto_fd int fd = open_pipe();

    ck_assert_int_ge(fd, 0);
    ck_assert(vm_cont(work.bench.vm, NULL));
    begin(protocol, "", "");
    ck_assert_int_eq(work.bench.vm->state, RUN_STATE_SAVE_VM);
    qmp_session_free(work.session);
    work.session = NULL;
    while (work.bench.vm->state != RUN_STATE_RUNNING) {
        qmp_bench_settle(&work.bench);
    }
}
END_TEST

START_TEST(a_dump_that_fails_removes_the_file_that_it_made)
{
    const struct rlimit small = {.rlim_cur = FILE_BYTES / 2, .rlim_max = RLIM_INFINITY};
    g_autofree char *protocol = g_strconcat("file:", work.path, NULL);
    GString *said = g_string_new(NULL);
    g_autofree char *names = NULL;

    signal(SIGXFSZ, SIG_IGN);
    fill_ram();
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    begin(protocol, "", "");
    names = hear_until(said, "{\"error\": {\"class\"");
    ck_assert_str_eq(names, "DUMP_COMPLETED error\" ");
    ck_assert_ptr_nonnull(strstr(said->str, "write: File too large"));
    ck_assert_int_ne(access(work.path, F_OK), 0);
    g_string_free(said, TRUE);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("qmp_dump");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, registers_and_ram_are_in_the_file);
    tcase_add_test(tc, zeroes_are_holes_of_a_file);
    tcase_add_test(tc, a_part_of_ram_can_be_asked_for);
    tcase_add_test(tc, what_a_file_held_is_gone);
    tcase_add_test(tc, a_descriptor_is_written_from_where_it_is);
    tcase_add_test(tc, what_is_appended_to_has_no_holes);
    tcase_add_test(tc, a_descriptor_set_can_be_named_both_ways);
    tcase_add_test(tc, a_descriptor_must_be_writable);
    tcase_add_test(tc, arguments_are_checked_before_there_is_a_file);
    tcase_add_test(tc, a_vm_that_waits_for_a_template_is_not_dumped);
    tcase_add_test(tc, elf_is_what_there_is);
    tcase_add_test(tc, a_vm_that_runs_stands_still_and_goes_on);
    tcase_add_test(tc, nothing_else_moves_the_vm_meanwhile);
    tcase_add_test(tc, a_detached_dump_is_answered_at_once);
    tcase_add_test(tc, a_detached_dump_outlives_its_session);
    tcase_add_test(tc, the_event_says_why_a_dump_failed);
    tcase_add_test(tc, a_vm_that_ends_takes_its_dump_along);
    tcase_add_test(tc, yank_cancels_and_the_vm_goes_on);
    tcase_add_test(tc, a_session_that_ends_cancels_and_the_vm_goes_on);
    tcase_add_test(tc, a_dump_that_fails_removes_the_file_that_it_made);
    return suite_run("qmp_dump", tc);
}
