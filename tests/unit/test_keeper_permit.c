/* What the keeper refuses to start for a task, whoever asks: every rule of the file `permit`. */
#include "keeper_fixture.h"

#include "keeper/permit.h"

static void write_permit(const char *text)
{
    FILE *file = fopen(in_directory("permit"), "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    chmod(in_directory("permit"), 0600);
}

static void is_asked_with_capabilities(const char *user, uint64_t capabilities)
{
    begin(WIRE_SPAWN, "capable");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "/bin/true");
    wire_put_text(&writer, WIRE_TAG_USER, user);
    wire_put_number(&writer, WIRE_TAG_CAPABILITIES, capabilities);
    end(&agent);
}

/* A task's start, with what differs: NULL where nothing does. */
static void ask(const char *program, const char *user, const char *variable)
{
    static unsigned count;
    char id[16];

    snprintf(id, sizeof id, "t%u", count++);
    begin(WIRE_SPAWN, id);
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, program);
    wire_put_text(&writer, WIRE_TAG_ENVIRONMENT, "PATH=/nonexistent:relative:/usr/bin:/bin");
    wire_put_text(&writer, WIRE_TAG_ENVIRONMENT, variable);
    wire_put_text(&writer, WIRE_TAG_USER, user);
    end(&agent);
}

static void is_refused(const char *program, const char *user, const char *variable, const char *says)
{
    ask(program, user, variable);
    expect(&agent, WIRE_SPAWN_FAILED, NULL);
    if (strcmp(wire_text(&message, WIRE_TAG_STEP), "permit") != 0 || !strstr(wire_text(&message, WIRE_TAG_ERROR), says))
        fail_msg("%s was refused with \"%s\", not with \"%s\"", program, wire_text(&message, WIRE_TAG_ERROR), says);
}

static void is_allowed(const char *program, const char *user)
{
    ask(program, user, NULL);
    expect(&agent, WIRE_STARTED, NULL);
}

static void without_the_file_all_is_allowed(void **state)
{
    is_allowed("/bin/true", NULL);
    ask("true", NULL, "LD_PRELOAD=");
    expect(&agent, WIRE_STARTED, NULL);
}

static void a_file_that_limits_nothing_allows_all(void **state)
{
    write_permit("appmgr permit 1\nend\n");
    is_allowed("true", NULL);
}

static void an_allowed_user_gets_no_capabilities(void **state)
{
    write_permit("appmgr permit 1\nusers\nuser 0\nend\n");
    is_asked_with_capabilities("0", 1 << 21);
    expect(&agent, WIRE_SPAWN_FAILED, "capable");
    assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "capabilities beyond those of its user"));
    is_allowed("/bin/true", "0");
}

static void a_node_may_take_no_tasks(void **state)
{
    write_permit("appmgr permit 1\nno-tasks\nend\n");
    is_refused("/bin/true", NULL, NULL, "the node takes none (Tasks.enabled)");
}

static void its_own_applications_are_not_concerned(void **state)
{
    write_permit("appmgr permit 1\nno-tasks\nend\n");
    begin_script("local", "sleep 100");
    wire_put_number(&writer, WIRE_TAG_LOCAL, 1);
    end(&agent);
    expect(&agent, WIRE_STARTED, "local");
}

static void users_are_limited_as_written(void **state)
{
    write_permit("appmgr permit 1\nusers\nuser nobody\nend\n");
    is_refused("/bin/true", NULL, NULL, "user of the agent (Tasks.users)");
    is_refused("/bin/true", "0", NULL, "user 0 (Tasks.users)");
    is_refused("/bin/true", "nobody2", NULL, "user nobody2 (Tasks.users)");
    if (geteuid() == 0)
        is_allowed("/bin/true", "nobody");
    write_permit("appmgr permit 1\nusers\nown-user\nend\n");
    is_allowed("/bin/true", NULL);
    is_refused("/bin/true", "nobody", NULL, "user nobody");
    write_permit("appmgr permit 1\nusers\nend\n");
    is_refused("/bin/true", NULL, NULL, "user of the agent");
}

static void commands_are_compared_as_they_will_be_executed(void **state)
{
    write_permit("appmgr permit 1\ncommands\ncommand /usr/bin/tr*\ncommand /opt/*/bin/serve\nend\n");
    is_allowed("/usr/bin/true", NULL);
    is_allowed("true", NULL); /* found in PATH, and executed from there */
    is_refused("/usr/bin/id", NULL, NULL, "command /usr/bin/id (Tasks.commands)");
    is_refused("id", NULL, NULL, "command /usr/bin/id (Tasks.commands)");
    is_refused("/bin/sh", NULL, NULL, "command /bin/sh");
    is_refused("/usr/bin/tr/../id", NULL, NULL, "no absolute path without . and ..");
    is_refused("./true", NULL, NULL, "no absolute path");
    is_refused("nonexistent-program", NULL, NULL, "which is not found in PATH");
    is_refused("", NULL, NULL, "which is not found in PATH");
}

static void the_commands_before_and_after_are_commands(void **state)
{
    static const enum wire_tag others[] = {WIRE_TAG_INIT_ARGUMENT, WIRE_TAG_FINI_ARGUMENT};

    write_permit("appmgr permit 1\ncommands\ncommand /usr/bin/true\ncommand /usr/bin/sleep\nend\n");
    for (unsigned i = 0; i < 2; i++) {
        begin(WIRE_SPAWN, i ? "fini" : "init");
        wire_put_text(&writer, WIRE_TAG_ARGUMENT, "/usr/bin/true");
        wire_put_text(&writer, others[i], "/usr/bin/touch");
        wire_put_text(&writer, others[i], in_directory("touched"));
        end(&agent);
        expect(&agent, WIRE_SPAWN_FAILED, i ? "fini" : "init");
        assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "command /usr/bin/touch"));
    }
    begin(WIRE_SPAWN, "all");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "sleep");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "0.01");
    wire_put_text(&writer, WIRE_TAG_INIT_ARGUMENT, "true");
    wire_put_text(&writer, WIRE_TAG_FINI_ARGUMENT, "true");
    end(&agent);
    expect(&agent, WIRE_EXITED, "all");
    assert_int_equal(number(WIRE_TAG_EXIT_CODE), 0);
    assert_true(access(in_directory("touched"), F_OK) != 0);
}

static void the_loader_takes_no_other_code(void **state)
{
    write_permit("appmgr permit 1\ncommands\ncommand /usr/bin/true\nend\n");
    is_refused("true", NULL, "LD_PRELOAD=/tmp/secret.so", "environment LD_PRELOAD, where");
    assert_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "secret"));
}

static void what_cannot_be_believed_allows_nothing(void **state)
{
    static const char *const broken[] = {
        "", "\n", "appmgr permit 2\nend\n", "appmgr permit 1\n", "appmgr permit 1\nusers\nown-user\n",
        "appmgr permit 1\nend\nusers\n", "no rules\nend\n",
    };

    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        write_permit(broken[i]);
        is_refused("/bin/true", NULL, NULL, "cannot be believed");
    }
    write_permit("appmgr permit 1\nhosts\nend\n");
    is_refused("/bin/true", NULL, NULL, "the node takes none");
    write_permit("appmgr permit 1\nend\n");
    chmod(in_directory("permit"), 0622);
    is_refused("/bin/true", NULL, NULL, "cannot be believed");
    unlink(in_directory("permit"));
    assert_int_equal(symlink("/etc/passwd", in_directory("permit")), 0);
    is_refused("/bin/true", NULL, NULL, "cannot be believed");
}

static void each_start_is_checked(void **state)
{
    begin_script("a", "echo run >> runs; exec sleep 100");
    put_restart(1, 1);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    write_permit("appmgr permit 1\nno-tasks\nend\n");
    WAIT_FOR(*contents("runs"));
    kill((pid_t)number(WIRE_TAG_PID), SIGKILL);
    expect(&agent, WIRE_SPAWN_FAILED, "a");
    unlink(in_directory("permit"));
    expect(&agent, WIRE_STARTED, "a"); /* the rules changed: the next try is let through */
}

/* Several are on their way at a time. */
static void each_runs_its_own_program(void **state)
{
    enum { PROGRAMS = 4 };
    char text[256], name[16];
    struct wire_writer all = {.data = out, .capacity = sizeof out};

    for (int i = 0; i < PROGRAMS; i++) {
        FILE *file;

        snprintf(name, sizeof name, "program%d", i);
        file = fopen(in_directory(name), "w");
        assert_non_null(file);
        fprintf(file, "#!/bin/sh\necho %d >> %s/ran\n", i, directory);
        fclose(file);
        chmod(in_directory(name), 0700);
    }
    snprintf(text, sizeof text, "appmgr permit 1\ncommands\ncommand %s/program*\nend\n", directory);
    write_permit(text);
    for (int i = 0; i < PROGRAMS; i++) {
        snprintf(name, sizeof name, "program%d", i);
        wire_begin(&all, WIRE_SPAWN);
        wire_put_text(&all, WIRE_TAG_ID, name);
        wire_put_text(&all, WIRE_TAG_ARGUMENT, in_directory(name));
        assert_int_equal(wire_end(&all), 0);
    }
    assert_int_equal(send(agent.fd, out, all.size, MSG_NOSIGNAL), all.size);
    WAIT_FOR(strlen(contents("ran")) == 2 * PROGRAMS);
    for (int i = 0; i < PROGRAMS; i++)
        if (!strchr(contents("ran"), '0' + i))
            fail_msg("program %d did not run, but:\n%s", i, contents("ran"));
}

static void patterns_end_at_slashes(void **state)
{
    static const struct { const char *pattern, *path; bool matches; } cases[] = {
        {"/usr/bin/id", "/usr/bin/id", true},    {"/usr/bin/id", "/usr/bin/idx", false},
        {"/usr/bin/*", "/usr/bin/id", true},     {"/usr/bin/*", "/usr/bin/x/id", false},
        {"/*/bin/id", "/usr/bin/id", true},      {"/*/id", "/usr/bin/id", false},
        {"/opt/*/run*.sh", "/opt/a/run-1.sh", true}, {"/opt/*/run*.sh", "/opt/a/b/run.sh", false},
        {"/a*b*c", "/axbxbc", true},             {"/a*b*c", "/axbxb", false},
        {"/a*", "/a", true},                     {"*", "/a", false},
        {"", "", true},                          {"*", "", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (permit_matches(cases[i].pattern, cases[i].path) != cases[i].matches)
            fail_msg("%s and %s", cases[i].pattern, cases[i].path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_the_file_all_is_allowed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_limits_nothing_allows_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_node_may_take_no_tasks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_own_applications_are_not_concerned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_allowed_user_gets_no_capabilities, set_up, tear_down),
        cmocka_unit_test_setup_teardown(users_are_limited_as_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(commands_are_compared_as_they_will_be_executed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_commands_before_and_after_are_commands, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_loader_takes_no_other_code, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_believed_allows_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_start_is_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_runs_its_own_program, set_up, tear_down),
        cmocka_unit_test(patterns_end_at_slashes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
