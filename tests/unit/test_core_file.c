/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/core_file.h"

#include "hypervisor/debug.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#define LOW_BYTES  (3 * MIB)
#define HIGH_BASE  (4 * GIB)
#define HIGH_BYTES (MIB + PAGE_BYTES)
#define NOTE_BYTES (sizeof(Elf64_Nhdr) + 8 + core_target.prstatus_bytes)

/* RAM with a hole, and what was written; zeroes that were skipped are there, and counted. */
typedef struct Bench {
    GuestMemory *memory;
    CoreFile *core;
    GByteArray *file;
    uint64_t skipped;
    uint64_t fail_at;
    atomic_uint_fast64_t done;
} Bench;

static Bench b;

static void set_up(void)
{
    const RamBackendConfig config = {.id = "ram", .size = LOW_BYTES + HIGH_BYTES};
    RamBackend *ram;

    b = (Bench){.memory = guest_mem_new(NULL), .file = g_byte_array_new(), .fail_at = UINT64_MAX};
    ram = guest_mem_add_backend(b.memory, &config, NULL);
    ck_assert_ptr_nonnull(ram);
    ck_assert(guest_mem_add_block(b.memory, ram, 0, GPA(0), LOW_BYTES, NULL));
    ck_assert(guest_mem_add_block(b.memory, ram, LOW_BYTES, GPA(HIGH_BASE), HIGH_BYTES, NULL));
}

static void tear_down(void)
{
    core_file_free(b.core);
    guest_mem_free(b.memory);
    g_byte_array_unref(b.file);
}

static bool append(void *opaque, const void *data, size_t len, GError **error)
{
    (void)opaque;
    if (b.file->len + len > b.fail_at) {
        return fail(error, VMM_ERROR_HOST, "full");
    }
    g_byte_array_append(b.file, data, (guint)len);
    return true;
}

static bool skip(void *opaque, uint64_t len, GError **error)
{
    g_autofree uint8_t *zeroes = g_malloc0(len);

    b.skipped += len;
    return append(opaque, zeroes, len, error);
}

static const CoreSink sink = {.write = append, .skip = skip};

static void make(const CoreFilter *filter)
{
    b.core = core_file_new(b.memory, filter, NULL);
    ck_assert_ptr_nonnull(b.core);
}

static void write_file(void)
{
    ck_assert(core_file_write(b.core, &sink, &b.done, NULL));
    ck_assert_uint_eq(atomic_load(&b.done), core_file_ram_bytes(b.core));
}

static Elf64_Phdr segment(unsigned index)
{
    Elf64_Phdr phdr;

    memcpy(&phdr, b.file->data + sizeof(Elf64_Ehdr) + index * sizeof(phdr), sizeof(phdr));
    return phdr;
}

static void expect_load(unsigned index, uint64_t gpa, uint64_t len)
{
    Elf64_Phdr phdr = segment(index);
    g_autofree uint8_t *ram = g_malloc(len);

    ck_assert_uint_eq(phdr.p_type, PT_LOAD);
    ck_assert_uint_eq(phdr.p_paddr, gpa);
    ck_assert_uint_eq(phdr.p_vaddr, gpa);
    ck_assert_uint_eq(phdr.p_filesz, len);
    ck_assert_uint_eq(phdr.p_memsz, len);
    ck_assert(range_fits(phdr.p_offset, len, b.file->len));
    ck_assert(guest_mem_read(b.memory, GPA(gpa), ram, len, NULL));
    ck_assert_mem_eq(b.file->data + phdr.p_offset, ram, len);
}

START_TEST(the_header_is_that_of_a_core)
{
    Elf64_Ehdr header;

    make(NULL);
    write_file();
    memcpy(&header, b.file->data, sizeof(header));
    ck_assert_mem_eq(header.e_ident, "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0", EI_NIDENT);
    ck_assert_uint_eq(header.e_type, ET_CORE);
    ck_assert_uint_eq(header.e_machine, core_target.machine);
    ck_assert_uint_eq(header.e_version, EV_CURRENT);
    ck_assert_uint_eq(header.e_phoff, sizeof(header));
    ck_assert_uint_eq(header.e_ehsize, sizeof(header));
    ck_assert_uint_eq(header.e_phentsize, sizeof(Elf64_Phdr));
    ck_assert_uint_eq(header.e_phnum, 3);
    ck_assert_uint_eq(header.e_shnum, 0);
    ck_assert_uint_eq(segment(0).p_type, PT_NOTE);
}
END_TEST

START_TEST(ram_is_there_and_zeroes_are_skipped)
{
    ck_assert(guest_mem_write(b.memory, GPA(MIB - 3), "sesame", 6, NULL)); /* two pages */
    ck_assert(guest_mem_write(b.memory, GPA(2 * MIB), "\0", 1, NULL));     /* touched, but zero */
    ck_assert(guest_mem_write(b.memory, GPA(HIGH_BASE + HIGH_BYTES - 1), "!", 1, NULL));
    make(NULL);
    write_file();
    expect_load(1, 0, LOW_BYTES);
    expect_load(2, HIGH_BASE, HIGH_BYTES);
    ck_assert_uint_eq(segment(1).p_offset % PAGE_BYTES, 0);
    ck_assert_uint_eq(b.skipped, LOW_BYTES + HIGH_BYTES - 3 * PAGE_BYTES);
    ck_assert_uint_eq(b.file->len, segment(2).p_offset + HIGH_BYTES);
}
END_TEST

static void set_register(uint8_t *block, const char *name, uint64_t value)
{
    for (size_t i = 0; i < debug_target.num_registers; i++) {
        const DebugRegister *reg = &debug_target.registers[i];

        if (strcmp(reg->name, name) == 0) {
            store_le(block + debug_register_offset(&debug_target, i),
                     (unsigned)debug_register_bytes(reg), value);
            return;
        }
    }
    ck_abort_msg("there is no register %s", name);
}

/* All of them, each with a value of its own; and that fails if the target has no such register. */
static void add_vcpu(uint64_t value)
{
    g_autofree uint8_t *block =
        g_malloc0(debug_register_offset(&debug_target, debug_target.num_registers));

    for (size_t i = 0; i < core_target.num_registers; i++) {
        if (core_target.registers[i]) {
            set_register(block, core_target.registers[i], value + i);
        }
    }
    core_file_add_vcpu(b.core, block);
}

static void expect_note(unsigned index, uint64_t value)
{
    const uint8_t *note = b.file->data + segment(0).p_offset + index * NOTE_BYTES;
    const uint8_t *prstatus = note + sizeof(Elf64_Nhdr) + 8;
    Elf64_Nhdr header;

    memcpy(&header, note, sizeof(header));
    ck_assert_uint_eq(header.n_namesz, 5);
    ck_assert_uint_eq(header.n_descsz, core_target.prstatus_bytes);
    ck_assert_uint_eq(header.n_type, NT_PRSTATUS);
    ck_assert_str_eq((const char *)note + sizeof(header), "CORE");
    ck_assert_uint_eq(load_le32(prstatus + 32), index + 1);
    for (size_t i = 0; i < core_target.num_registers; i++) {
        ck_assert_uint_eq(load_le64(prstatus + core_target.registers_at + 8 * i),
                          core_target.registers[i] ? value + i : 0);
    }
}

START_TEST(each_vcpu_has_a_note_with_its_registers)
{
    make(NULL);
    add_vcpu(0x1000);
    add_vcpu(0x2000);
    write_file();
    ck_assert_uint_eq(segment(0).p_filesz, 2 * NOTE_BYTES);
    ck_assert_uint_eq(segment(0).p_offset, sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr));
    expect_note(0, 0x1000);
    expect_note(1, 0x2000);
}
END_TEST

START_TEST(what_else_is_known_of_vcpus_comes_behind)
{
    static const uint8_t system[] = "crash finds the kernel by this";
    const uint8_t *note;

    make(NULL);
    for (unsigned i = 0; i < 2; i++) {
        add_vcpu(0x1000);
        core_file_add_system(b.core, system, 28);
    }
    write_file();
    ck_assert_uint_eq(segment(0).p_filesz, 2 * NOTE_BYTES + 2 * (sizeof(Elf64_Nhdr) + 8 + 28));
    expect_note(1, 0x1000);
    note = b.file->data + segment(0).p_offset + 2 * NOTE_BYTES;
    for (unsigned i = 0; i < 2; i++, note += sizeof(Elf64_Nhdr) + 8 + 28) {
        ck_assert_mem_eq(note, "\5\0\0\0\x1c\0\0\0\0\0\0\0QEMU\0\0\0\0", 20);
        ck_assert_mem_eq(note + 20, system, 28);
    }
}
END_TEST

START_TEST(a_filter_takes_what_of_it_is_ram)
{
    ck_assert(guest_mem_write(b.memory, GPA(LOW_BYTES - 2), "ab", 2, NULL));
    ck_assert(guest_mem_write(b.memory, GPA(HIGH_BASE), "cd", 2, NULL));
    make(&(CoreFilter){.begin = LOW_BYTES - 1, .length = HIGH_BASE - LOW_BYTES + 2});
    ck_assert_uint_eq(core_file_ram_bytes(b.core), 2);
    write_file();
    expect_load(1, LOW_BYTES - 1, 1);
    expect_load(2, HIGH_BASE, 1);
}
END_TEST

START_TEST(a_filter_may_begin_and_end_within_a_page)
{
    for (uint64_t at = 0; at < LOW_BYTES; at += 700) {
        ck_assert(guest_mem_write(b.memory, GPA(at), "x", 1, NULL));
    }
    make(&(CoreFilter){.begin = 5001, .length = 2 * MIB + 7});
    write_file();
    expect_load(1, 5001, 2 * MIB + 7);
}
END_TEST

START_TEST(a_filter_may_reach_beyond_all_addresses)
{
    make(&(CoreFilter){.begin = HIGH_BASE + MIB, .length = UINT64_MAX});
    write_file();
    expect_load(1, HIGH_BASE + MIB, PAGE_BYTES);
}
END_TEST

static void expect_nothing(uint64_t begin, uint64_t length)
{
    const CoreFilter filter = {begin, length};
    g_autoptr(GError) error = NULL;

    ck_assert_ptr_null(core_file_new(b.memory, &filter, &error));
    ck_assert(g_str_has_prefix(error->message, "dump: no guest memory to dump: there is no RAM"));
}

START_TEST(a_filter_without_ram_is_an_error)
{
    expect_nothing(LOW_BYTES, HIGH_BASE - LOW_BYTES);
    expect_nothing(HIGH_BASE + HIGH_BYTES, 1);
    expect_nothing(UINT64_MAX, UINT64_MAX);
    expect_nothing(0, 0);
}
END_TEST

START_TEST(no_ram_at_all_is_an_error)
{
    g_autoptr(GuestMemory) empty = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;

    ck_assert_ptr_null(core_file_new(empty, NULL, &error));
    ck_assert(g_str_has_prefix(error->message, "dump: no guest memory to dump"));
}
END_TEST

START_TEST(a_sink_that_fails_ends_it)
{
    g_autoptr(GError) error = NULL;

    make(NULL);
    b.fail_at = 2 * MIB;
    ck_assert(!core_file_write(b.core, &sink, &b.done, &error));
    ck_assert_str_eq(error->message, "full");
    ck_assert_uint_eq(atomic_load(&b.done), MIB);
    g_clear_error(&error);
    b.fail_at = 0;
    ck_assert(!core_file_write(b.core, &sink, &b.done, &error));
    ck_assert_str_eq(error->message, "full");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("core_file");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_header_is_that_of_a_core);
    tcase_add_test(tc, ram_is_there_and_zeroes_are_skipped);
    tcase_add_test(tc, each_vcpu_has_a_note_with_its_registers);
    tcase_add_test(tc, what_else_is_known_of_vcpus_comes_behind);
    tcase_add_test(tc, a_filter_takes_what_of_it_is_ram);
    tcase_add_test(tc, a_filter_may_begin_and_end_within_a_page);
    tcase_add_test(tc, a_filter_may_reach_beyond_all_addresses);
    tcase_add_test(tc, a_filter_without_ram_is_an_error);
    tcase_add_test(tc, no_ram_at_all_is_an_error);
    tcase_add_test(tc, a_sink_that_fails_ends_it);
    return suite_run("core_file", tc);
}
