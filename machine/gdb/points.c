/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Breakpoints and watchpoints.  Those that the processor watches for are handed to the hypervisor;
 * the others are instructions in the guest's RAM, put there each time that the guest is about to
 * run, and taken out when it has stopped.
 */
#include "machine/gdb/private.h"

#define POINTS_MAX 4096

/* The digit in Z and z. */
typedef struct PointType {
    bool software;
    DebugPointKind kind;
} PointType;

static const PointType types[] = {
    {true, DEBUG_POINT_EXECUTE}, {false, DEBUG_POINT_EXECUTE}, {false, DEBUG_POINT_WRITE},
    {false, DEBUG_POINT_READ},   {false, DEBUG_POINT_ACCESS},
};

static GdbPoint *point_at(const GdbStub *stub, guint index)
{
    return &g_array_index(stub->points, GdbPoint, index);
}

/* TYPE,ADDRESS,KIND[;...]: the conditions that may follow are gdb's to check. */
static bool parse_point(const GdbStub *stub, const GdbRequest *request, GdbPoint *ret_point)
{
    const char *cursor = request->arguments;
    uint64_t type;
    uint64_t address;
    uint64_t len;

    if (!gdb_parse_hex_until(&cursor, ',', &type) || !gdb_parse_hex_until(&cursor, ',', &address) ||
        !gdb_parse_hex(&cursor, &len)) {
        return false;
    }
    if (type >= G_N_ELEMENTS(types)) {
        return false;
    }
    *ret_point = (GdbPoint){
        .software = types[type].software,
        .point = {.kind = types[type].kind, .address = address, .len = len},
    };
    if (ret_point->point.kind == DEBUG_POINT_EXECUTE) {
        ret_point->point.len = ret_point->software ? stub->target->breakpoint_bytes : 1;
    }
    return true;
}

static int find_point(const GdbStub *stub, const GdbPoint *wanted)
{
    for (guint i = 0; i < stub->points->len; i++) {
        const GdbPoint *have = point_at(stub, i);

        if (have->software == wanted->software && have->point.kind == wanted->point.kind &&
            have->point.address == wanted->point.address && have->point.len == wanted->point.len) {
            return (int)i;
        }
    }
    return -1;
}

bool gdb_points_has_software(const GdbStub *stub, uint64_t address)
{
    for (guint i = 0; i < stub->points->len; i++) {
        const GdbPoint *have = point_at(stub, i);

        if (have->software && have->point.address == address) {
            return true;
        }
    }
    return false;
}

void gdb_points_settings(const GdbStub *stub, DebugSettings *ret_settings)
{
    DebugSettings settings = {.mask = (stub->step_bits & GDB_STEP_NO_IRQ) != 0};

    for (guint i = 0; i < stub->points->len; i++) {
        const GdbPoint *have = point_at(stub, i);

        if (have->software) {
            settings.software = true;
        } else {
            settings.points[settings.num_points++] = have->point;
        }
    }
    *ret_settings = settings;
}

static void *code_at(const GdbStub *stub, const GdbPoint *point)
{
    return guest_mem_ptr(stub->vm->memory, GPA(point->gpa), point->point.len, GUEST_WRITE, NULL);
}

/* A place that the guest's tables do not lead to, or that is not RAM, is refused here. */
static bool may_insert(const GdbStub *stub, GdbPoint *point)
{
    DebugSettings settings;

    if (point->software) {
        return stub->points->len < POINTS_MAX &&
               gdb_translate(stub, point->point.address, &point->gpa) && code_at(stub, point);
    }
    gdb_points_settings(stub, &settings);
    if (settings.num_points == DEBUG_POINTS_MAX) {
        return false;
    }
    settings.points[settings.num_points++] = point->point;
    return stub->ops->check(stub->vm->hypervisor, &settings, NULL);
}

void gdb_insert_point(GdbStub *stub, GdbRequest *request)
{
    GdbPoint point;

    if (!parse_point(stub, request, &point)) {
        g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
        return;
    }
    if (find_point(stub, &point) < 0) {
        if (!may_insert(stub, &point)) {
            g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
            return;
        }
        g_array_append_val(stub->points, point);
    }
    g_string_assign(request->reply, "OK");
}

void gdb_remove_point(GdbStub *stub, GdbRequest *request)
{
    GdbPoint point;
    int index;

    if (!parse_point(stub, request, &point)) {
        g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
        return;
    }
    index = find_point(stub, &point);
    if (index >= 0) {
        g_array_remove_index(stub->points, (guint)index);
    }
    g_string_assign(request->reply, index >= 0 ? "OK" : GDB_ERROR_ARGUMENT);
}

static bool holds_breakpoint(const GdbStub *stub, const void *code)
{
    return memcmp(code, stub->target->breakpoint, stub->target->breakpoint_bytes) == 0;
}

/* The processor may have fetched the old bytes already, where its caches do not notice. */
static void write_code(uint8_t *code, const uint8_t *bytes, size_t len)
{
    memcpy(code, bytes, len);
    __builtin___clear_cache((char *)code, (char *)code + len);
}

/* Once more for what is planted: RAM may have been loaded anew meanwhile. */
void gdb_points_plant(GdbStub *stub)
{
    for (guint i = 0; i < stub->points->len; i++) {
        GdbPoint *point = point_at(stub, i);
        uint8_t *code = point->software ? code_at(stub, point) : NULL;

        if (code && !holds_breakpoint(stub, code)) {
            memcpy(point->original, code, point->point.len);
            write_code(code, stub->target->breakpoint, point->point.len);
            point->planted = true;
        }
    }
}

/*
 * What the guest has written over a breakpoint meanwhile is its own.  The last comes out first, in
 * case that they overlap.
 */
void gdb_points_unplant(GdbStub *stub)
{
    for (guint i = stub->points->len; i-- > 0;) {
        GdbPoint *point = point_at(stub, i);
        uint8_t *code = point->planted ? code_at(stub, point) : NULL;

        point->planted = false;
        if (code && holds_breakpoint(stub, code)) {
            write_code(code, point->original, point->point.len);
        }
    }
}

void gdb_points_clear(GdbStub *stub)
{
    gdb_points_unplant(stub);
    g_array_set_size(stub->points, 0);
}
