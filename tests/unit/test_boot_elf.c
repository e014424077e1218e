/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot/elf.h"

#include "tests/support/boot_sample.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"

#include <string.h>

/* Is the host page behind a pointer one of a file? */
static bool is_mapped_file(const void *p)
{
    g_autofree char *maps = NULL;

    ck_assert(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));

    g_auto(GStrv) lines = g_strsplit(maps, "\n", -1);

    for (char **line = lines; *line != NULL; line++) {
        char *dash;
        uint64_t from = g_ascii_strtoull(*line, &dash, 16);
        uint64_t to = *dash == '-' ? g_ascii_strtoull(dash + 1, NULL, 16) : 0;

        if ((uintptr_t)p >= from && (uintptr_t)p < to) {
            return strstr(*line, "memfd:kernel") != NULL;
        }
    }
    return false;
}

static GuestMemory *new_memory(void)
{
    GuestMemory *mem = guest_mem_new(NULL);

    ck_assert(guest_mem_add_plain(mem, SAMPLE_RAM, NULL));
    return mem;
}

START_TEST(pvh_note_gives_a_32_bit_entry)
{
    g_autoptr(GuestMemory) mem = new_memory();
    SampleElf elf = boot_sample_elf();
    VcpuEntry entry;

    ck_assert(boot_sample_load(mem, &elf, sizeof(elf), "", &entry, NULL));
    ck_assert_int_eq(entry.mode, VCPU_ENTRY_PVH);
    ck_assert_uint_eq(entry.rip, SAMPLE_ENTRY);
    ck_assert_uint_ne(entry.rbx, 0);
}
END_TEST

START_TEST(without_the_note_it_is_linux_at_e_entry)
{
    g_autoptr(GuestMemory) mem = new_memory();
    SampleElf elf = boot_sample_elf();
    VcpuEntry entry;

    boot_sample_hide_pvh(&elf);
    ck_assert(boot_sample_load(mem, &elf, sizeof(elf), "", &entry, NULL));
    ck_assert_int_eq(entry.mode, VCPU_ENTRY_LONG64);
    ck_assert_uint_eq(entry.rip, 0x1000000);
    ck_assert_uint_ne(entry.rsi, 0);
}
END_TEST

START_TEST(segments_are_in_place_and_the_gaps_are_zero)
{
    g_autoptr(GuestMemory) mem = new_memory();
    SampleElf elf = boot_sample_elf();
    static const uint8_t zeroes[0x2000];
    VcpuEntry entry;

    ck_assert(boot_sample_load(mem, &elf, sizeof(elf), "", &entry, NULL));

    const uint8_t *at = guest_mem_ptr(mem, GPA(0x1000000), 0x6000, GUEST_READ, NULL);

    ck_assert_mem_eq(at, elf.text, sizeof(elf.text));
    ck_assert_mem_eq(at + 0x2800, zeroes, 0x1800);
    ck_assert_mem_eq(at + 0x4000, zeroes, 0x1008);
    ck_assert_mem_eq(at + 0x5008, elf.data, sizeof(elf.data));
    ck_assert_mem_eq(at + 0x5018, zeroes, 0x1000 - 0x18);
}
END_TEST

START_TEST(whole_pages_are_mapped_and_the_rest_is_read)
{
    g_autoptr(GuestMemory) mem = new_memory();
    SampleElf elf = boot_sample_elf();
    VcpuEntry entry;

    ck_assert(boot_sample_load(mem, &elf, sizeof(elf), "", &entry, NULL));

    const uint8_t *at = guest_mem_ptr(mem, GPA(0x1000000), 0x6000, GUEST_READ, NULL);

    ck_assert(is_mapped_file(at));
    ck_assert(is_mapped_file(at + 0x1fff));
    ck_assert(!is_mapped_file(at + 0x2000));
    ck_assert(!is_mapped_file(at + 0x5000));
}
END_TEST

START_TEST(shared_memory_gets_a_copy)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    const RamBackendConfig config = {
        .id = "ram", .kind = RAM_MEMFD, .size = SAMPLE_RAM, .shared = true};
    RamBackend *backend = guest_mem_add_backend(mem, &config, NULL);
    SampleElf elf = boot_sample_elf();
    VcpuEntry entry;

    ck_assert_ptr_nonnull(backend);
    ck_assert(guest_mem_add_block(mem, backend, 0, GPA(0), SAMPLE_RAM, NULL));
    ck_assert(boot_sample_load(mem, &elf, sizeof(elf), "", &entry, NULL));

    const uint8_t *at = guest_mem_ptr(mem, GPA(0x1000000), 0x3000, GUEST_READ, NULL);

    ck_assert(!is_mapped_file(at));
    ck_assert_mem_eq(at, elf.text, sizeof(elf.text));
}
END_TEST

START_TEST(a_segment_may_span_blocks_of_memory)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    const RamBackendConfig config = {.id = "ram", .kind = RAM_ANONYMOUS, .size = SAMPLE_RAM};
    RamBackend *backend = guest_mem_add_backend(mem, &config, NULL);
    SampleElf elf = boot_sample_elf();
    uint8_t text[sizeof(elf.text)];
    VcpuEntry entry;

    ck_assert(guest_mem_add_block(mem, backend, 0x2000000, GPA(0), 0x1001000, NULL));
    ck_assert(guest_mem_add_block(mem, backend, 0, GPA(0x1001000), 0x1000000, NULL));
    ck_assert(boot_sample_load(mem, &elf, sizeof(elf), "", &entry, NULL));
    ck_assert(guest_mem_read(mem, GPA(0x1000000), text, sizeof(text), NULL));
    ck_assert_mem_eq(text, elf.text, sizeof(text));
}
END_TEST

/* One wrong field of the sample, and what is said about it. */
static const struct {
    const char *message;
    size_t offset;
    unsigned size;
    uint64_t value;
} wrong_fields[] = {
    {"vmlinux: ELF header: EI_CLASS is 1, expected 2 (64-bit)", EI_CLASS, 1, 1},
    {"vmlinux: ELF header: EI_DATA is 2, expected 1 (little-endian)", EI_DATA, 1, 2},
    {"vmlinux: ELF header: EI_VERSION is 0, expected 1 (current)", EI_VERSION, 1, 0},
    {"vmlinux: ELF header: e_type is 3, expected 2 (executable)",
     offsetof(SampleElf, header.e_type), 2, ET_DYN},
    {"vmlinux: ELF header: e_machine is 183, expected 62 (x86-64)",
     offsetof(SampleElf, header.e_machine), 2, EM_AARCH64},
    {"vmlinux: ELF header: e_version is 7, expected 1 (current)",
     offsetof(SampleElf, header.e_version), 4, 7},
    {"vmlinux: ELF header: e_ehsize is 52, expected 64 (an ELF64 header)",
     offsetof(SampleElf, header.e_ehsize), 2, 52},
    {"vmlinux: ELF header: e_phentsize is 32, expected 56 (an ELF64 program header)",
     offsetof(SampleElf, header.e_phentsize), 2, 32},
    {"vmlinux: ELF header: e_phnum is 0, expected 1 to 128", offsetof(SampleElf, header.e_phnum), 2,
     0},
    {"vmlinux: ELF header: e_phnum is 65535, expected 1 to 128",
     offsetof(SampleElf, header.e_phnum), 2, 0xffff},
    {"vmlinux: truncated: ELF program headers takes 168 bytes at offset 0xffffffffffffffff, "
     "the file has 14352",
     offsetof(SampleElf, header.e_phoff), 8, UINT64_MAX},
    {"vmlinux: ELF segment 0: p_filesz is 0x5000, expected at most p_memsz, 0x4000",
     offsetof(SampleElf, segments[0].p_filesz), 8, 0x5000},
    {"vmlinux: truncated: ELF segment 0 takes 0x2800 bytes at offset 0xfffffffffffff000, "
     "the file has 0x3810",
     offsetof(SampleElf, segments[0].p_offset), 8, UINT64_C(0xfffffffffffff000)},
    {"vmlinux: ELF segment 0 lies at guest address 0x7000, expected at least 0x100000: "
     "the boot tables are below",
     offsetof(SampleElf, segments[0].p_paddr), 8, 0x7000},
    {"vmlinux: ELF segment 0 takes 0x4000 bytes at guest address 0xfffe000, RAM ends at 0x10000000",
     offsetof(SampleElf, segments[0].p_paddr), 8, 0xfffe000},
    {"vmlinux: ELF segment 0 takes 0xffffffffffffffff bytes at guest address 0x1000000, "
     "RAM ends at 0x10000000",
     offsetof(SampleElf, segments[0].p_memsz), 8, UINT64_MAX},
    {"vmlinux: ELF segments 0 and 1 overlap at guest address 0x1003fff",
     offsetof(SampleElf, segments[1].p_paddr), 8, 0x1003fff},
    {"vmlinux: ELF notes take 1048577 bytes, expected at most 1048576",
     offsetof(SampleElf, segments[2].p_filesz), 8, 1048577},
    {"vmlinux: truncated: table of ELF notes takes 48 bytes at offset 0x3800, the file has 14352",
     offsetof(SampleElf, segments[2].p_offset), 8, 0x3800},
    {"vmlinux: PVH note has 2 bytes, expected 4 or 8", offsetof(SampleElf, text) + 0x118 + 4, 4, 2},
    {"vmlinux: PVH entry is 0x100000000, expected an address of 32 bits",
     offsetof(SampleElf, text) + 0x118 + 16, 8, UINT64_C(0x100000000)},
    {"vmlinux: PVH entry is 0x1002800, which no segment is loaded to",
     offsetof(SampleElf, text) + 0x118 + 16, 8, 0x1002800},
};

START_TEST(each_wrong_field_is_named)
{
    SampleElf elf = boot_sample_elf();

    store_le((uint8_t *)&elf + wrong_fields[_i].offset, wrong_fields[_i].size,
             wrong_fields[_i].value);

    g_autofree char *said = boot_sample_refusal(&elf, sizeof(elf));

    ck_assert_str_eq(said, wrong_fields[_i].message);
}
END_TEST

START_TEST(an_entry_outside_of_the_image_is_refused)
{
    SampleElf elf = boot_sample_elf();

    boot_sample_hide_pvh(&elf);
    elf.header.e_entry = UINT64_C(0xffffffff81000000);

    g_autofree char *said = boot_sample_refusal(&elf, sizeof(elf));

    ck_assert_str_eq(said, "vmlinux: ELF header: e_entry is 0xffffffff81000000, "
                           "which no segment is loaded to");
}
END_TEST

START_TEST(an_image_with_nothing_to_load_is_refused)
{
    SampleElf elf = boot_sample_elf();

    elf.segments[0].p_type = PT_NULL;
    elf.segments[1].p_memsz = 0;
    elf.segments[1].p_filesz = 0;

    g_autofree char *said = boot_sample_refusal(&elf, sizeof(elf));

    ck_assert_str_eq(said, "vmlinux: ELF image without a segment to load");
}
END_TEST

START_TEST(a_kernel_that_the_page_tables_do_not_reach_is_refused)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;
    SampleElf elf = boot_sample_elf();
    VcpuEntry entry;

    boot_sample_hide_pvh(&elf);
    elf.segments[0].p_paddr = elf.header.e_entry = 0x40000000;
    ck_assert(guest_mem_add_plain(mem, 2 * GIB, NULL));
    ck_assert(!boot_sample_load(mem, &elf, sizeof(elf), "", &entry, &error));
    ck_assert_str_eq(error->message,
                     "vmlinux: kernel ends at guest address 0x40004000, expected at most "
                     "0x40000000 to enter it in 64-bit mode");
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    SampleElf elf = boot_sample_elf();

    for (size_t len = 0; len < sizeof(elf); len += len < 256 ? 1 : 61) {
        g_autofree char *said = boot_sample_refusal(&elf, len);

        ck_assert_msg(strcmp(said, "accepted") != 0, "accepted with %zu bytes", len);
    }
}
END_TEST

START_TEST(no_flipped_bit_of_the_headers_does_harm)
{
    for (size_t i = 0; i < offsetof(SampleElf, pad) * 8; i++) {
        SampleElf elf = boot_sample_elf();

        ((uint8_t *)&elf)[i / 8] ^= (uint8_t)(1u << (i % 8));

        g_autofree char *said = boot_sample_refusal(&elf, sizeof(elf));

        ck_assert_uint_ne(strlen(said), 0);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("boot_elf");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, pvh_note_gives_a_32_bit_entry);
    tcase_add_test(tc, without_the_note_it_is_linux_at_e_entry);
    tcase_add_test(tc, segments_are_in_place_and_the_gaps_are_zero);
    tcase_add_test(tc, whole_pages_are_mapped_and_the_rest_is_read);
    tcase_add_test(tc, shared_memory_gets_a_copy);
    tcase_add_test(tc, a_segment_may_span_blocks_of_memory);
    tcase_add_loop_test(tc, each_wrong_field_is_named, 0, G_N_ELEMENTS(wrong_fields));
    tcase_add_test(tc, an_entry_outside_of_the_image_is_refused);
    tcase_add_test(tc, an_image_with_nothing_to_load_is_refused);
    tcase_add_test(tc, a_kernel_that_the_page_tables_do_not_reach_is_refused);
    tcase_add_test(tc, every_truncation_is_refused);
    tcase_add_test(tc, no_flipped_bit_of_the_headers_does_harm);
    return suite_run("boot_elf", tc);
}
