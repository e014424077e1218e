/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot/e820.h"

#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"

static void assert_entry(const E820Map *map, size_t i, uint64_t base, uint64_t size, E820Type type)
{
    ck_assert_uint_lt(i, map->count);
    ck_assert_uint_eq(map->entries[i].base, base);
    ck_assert_uint_eq(map->entries[i].size, size);
    ck_assert_int_eq(map->entries[i].type, type);
}

START_TEST(low_memory_has_its_reserved_parts)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    E820Map map;

    ck_assert(guest_mem_add_plain(mem, 64 * MIB, NULL));
    ck_assert(e820_build(mem, &map, NULL));
    ck_assert_uint_eq(map.count, 4);
    assert_entry(&map, 0, 0, 0x9fc00, E820_RAM);
    assert_entry(&map, 1, 0x9fc00, 0x400, E820_RESERVED);
    assert_entry(&map, 2, 0xe0000, 0x20000, E820_RESERVED);
    assert_entry(&map, 3, MIB, 63 * MIB, E820_RAM);
}
END_TEST

START_TEST(adjacent_blocks_are_one_entry_and_the_hole_stays_open)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    const RamBackendConfig config = {.id = "ram", .kind = RAM_ANONYMOUS, .size = 8 * MIB};
    RamBackend *ram = guest_mem_add_backend(mem, &config, NULL);
    E820Map map;

    ck_assert(guest_mem_add_block(mem, ram, 4 * MIB, GPA(4 * GIB), 2 * MIB, NULL));
    ck_assert(guest_mem_add_block(mem, ram, 6 * MIB, GPA(4 * GIB + 2 * MIB), 2 * MIB, NULL));
    ck_assert(guest_mem_add_block(mem, ram, 0, GPA(0), 2 * MIB, NULL));
    ck_assert(guest_mem_add_block(mem, ram, 2 * MIB, GPA(2 * MIB), 2 * MIB, NULL));
    ck_assert(e820_build(mem, &map, NULL));
    ck_assert_uint_eq(map.count, 5);
    assert_entry(&map, 3, MIB, 3 * MIB, E820_RAM);
    assert_entry(&map, 4, 4 * GIB, 4 * MIB, E820_RAM);
}
END_TEST

START_TEST(memory_smaller_than_the_reserved_parts_has_no_more_than_it_has)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    E820Map map;

    ck_assert(guest_mem_add_plain(mem, 0x10000, NULL));
    ck_assert(e820_build(mem, &map, NULL));
    ck_assert_uint_eq(map.count, 1);
    assert_entry(&map, 0, 0, 0x10000, E820_RAM);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("boot_e820");

    tcase_add_test(tc, low_memory_has_its_reserved_parts);
    tcase_add_test(tc, adjacent_blocks_are_one_entry_and_the_hole_stays_open);
    tcase_add_test(tc, memory_smaller_than_the_reserved_parts_has_no_more_than_it_has);
    return suite_run("boot_e820", tc);
}
