/*
 * core.host: glue for host.c.
 *
 *   hostname() → text | nil, err          machine_id(), boot_id() → id | nil, err
 *   start_ticks(pid) → integer | nil      clock ticks since boot
 *   resource() → the fields of the key status/<host>/resource that tell of the machine
 */
#include "core_modules.h"
#include "host.h"
#include "host_changes.h"

#include <lauxlib.h>
#include <limits.h>
#include <string.h>

static const char resource_class[] = "core.host.resource";

static int push_text(lua_State *L, int result, const char *text, const char *what)
{
    if (result == 0) {
        lua_pushstring(L, text);
        return 1;
    }
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", what, strerror(-result));
    return 2;
}

static int hostname(lua_State *L)
{
    char name[HOST_NAME_MAX + 1];
    int result = host_name(name, sizeof name);
    return push_text(L, result, name, "host name");
}

static int machine_id(lua_State *L)
{
    char id[HOST_ID_SIZE];
    int result = host_machine_id(id);
    return push_text(L, result, id, "/etc/machine-id");
}

static int boot_id(lua_State *L)
{
    char id[HOST_ID_SIZE];
    int result = host_boot_id(id);
    return push_text(L, result, id, "/proc/sys/kernel/random/boot_id");
}

/* A number that can be no pid stands for no process. */
static pid_t check_pid(lua_State *L)
{
    lua_Integer pid = luaL_checkinteger(L, 1);
    return pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

static int start_ticks(lua_State *L)
{
    uint64_t ticks;
    if (host_start_ticks(check_pid(L), &ticks) < 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)ticks);
    return 1;
}

static void set_integer(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static void set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static void set_filesystems(lua_State *L, const struct host_resource *resource)
{
    lua_createtable(L, (int)resource->filesystem_count, 0);
    for (size_t i = 0; i < resource->filesystem_count; i++) {
        const struct host_filesystem *item = &resource->filesystems[i];
        lua_createtable(L, 0, 5);
        set_string(L, "device", item->device);
        set_string(L, "mount_point", item->mount_point);
        set_integer(L, "size", item->size_bytes);
        set_integer(L, "used", item->used_bytes);
        set_number(L, "usage", item->usage);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "fs");
}

static void set_addresses(lua_State *L, const struct host_resource *resource)
{
    lua_createtable(L, (int)resource->address_count, 0);
    for (size_t i = 0; i < resource->address_count; i++) {
        const struct host_address *item = &resource->addresses[i];
        lua_createtable(L, 0, 3);
        set_string(L, "name", item->interface);
        set_string(L, "address", item->address);
        lua_pushboolean(L, item->ipv4);
        lua_setfield(L, -2, "ipv4");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "net");
}

static void push_resource(lua_State *L, const struct host_resource *resource)
{
    lua_createtable(L, 0, 12);
    set_integer(L, "cpu_cores", resource->cpu.cores);
    set_integer(L, "cpu_processors", resource->cpu.processors);
    set_integer(L, "cpu_sockets", resource->cpu.sockets);
    set_integer(L, "mem_total_bytes", resource->memory.total_bytes);
    set_integer(L, "mem_free_bytes", resource->memory.free_bytes);
    set_integer(L, "mem_available_bytes", resource->memory.available_bytes);
    set_integer(L, "mem_total_swap_bytes", resource->memory.swap_total_bytes);
    set_integer(L, "mem_free_swap_bytes", resource->memory.swap_free_bytes);
    set_filesystems(L, resource);
    set_addresses(L, resource);
    lua_createtable(L, 0, 3);
    set_number(L, "1min", resource->load.one);
    set_number(L, "5min", resource->load.five);
    set_number(L, "15min", resource->load.fifteen);
    lua_setfield(L, -2, "load");
}

static int free_resource(lua_State *L)
{
    host_resource_free(luaL_checkudata(L, 1, resource_class));
    return 0;
}

/* The C side lies in a userdata that is closed when this returns or raises, so that nothing is lost. */
static int resource(lua_State *L)
{
    struct host_resource *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = (struct host_resource){0};
    luaL_setmetatable(L, resource_class);
    lua_toclose(L, -1);
    if (host_resource_read(box) < 0)
        return luaL_error(L, "core.host: out of memory");
    push_resource(L, box);
    return 1;
}

void lua_host_shutdown(lua_State *L)
{
    (void)L;
    host_changes_shutdown();
}

int lua_host_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"boot_id", boot_id}, {"hostname", hostname}, {"machine_id", machine_id}, {"resource", resource},
        {"start_ticks", start_ticks}, {NULL, NULL}};

    luaL_newmetatable(L, resource_class);
    lua_pushcfunction(L, free_resource);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, free_resource);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
