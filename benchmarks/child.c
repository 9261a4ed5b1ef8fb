/* What the benchmarks supervise: it reports the instant of its first instruction, and then sleeps or floods.
 *
 *   child REPORT INDEX                 report, then sleep until a signal ends it
 *   child REPORT INDEX flood BYTES     report, wait for SIGUSR1, then write BYTES to stdout as fast as they are taken
 *                                      (0: without end), then sleep
 *
 * A report is one line appended to the file REPORT, "NANOSECONDS PID INDEX KIND\n", on CLOCK_MONOTONIC. KIND is
 * s(tarted), w(riting: just before the first byte) or d(one: just after the last one). One write(2) with O_APPEND, so the
 * reports of many children never mix.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 100, CHUNK = 64 * 1024, ENDLESS_BLOCK = 1024 * 1000 };

static void report(const char *path, const char *index, char kind, const struct timespec *at)
{
    char line[96];
    int length = snprintf(line, sizeof line, "%lld %d %s %c\n",
                          (long long)at->tv_sec * 1000000000LL + at->tv_nsec, (int)getpid(), index, kind);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, (size_t)length) != length)
        _exit(111);
    close(fd);
}

static void report_now(const char *path, const char *index, char kind)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    report(path, index, kind, &now);
}

/* Lines of LINE bytes, "INDEX NUMBER xxx…\n": benchmarks/scenarios/capture.py makes the same ones to compare with. */
static char *lines(const char *index, size_t bytes)
{
    char *all = malloc(bytes + LINE);
    if (all == NULL)
        _exit(112);
    for (size_t at = 0, number = 0; at < bytes; at += LINE, number++) {
        int head = snprintf(all + at, LINE, "%s %08zu ", index, number);
        memset(all + at + head, 'x', (size_t)(LINE - 1 - head));
        all[at + LINE - 1] = '\n';
    }
    return all;
}

static void put(const char *all, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        ssize_t written = write(STDOUT_FILENO, all + at, bytes - at < CHUNK ? bytes - at : CHUNK);
        if (written < 0)
            _exit(113);
        at += (size_t)written;
    }
}

int main(int argc, char **argv)
{
    struct timespec first;
    clock_gettime(CLOCK_MONOTONIC, &first);
    if (argc < 3)
        return 2;
    if (argc == 5 && strcmp(argv[3], "flood") == 0) {
        size_t bytes = strtoull(argv[4], NULL, 10);
        char *all = lines(argv[2], bytes ? bytes : ENDLESS_BLOCK); /* made beforehand: writing costs us only write(2) */
        sigset_t go;
        int which;
        sigemptyset(&go);
        sigaddset(&go, SIGUSR1);
        sigprocmask(SIG_BLOCK, &go, NULL);
        report(argv[1], argv[2], 's', &first);
        sigwait(&go, &which);
        report_now(argv[1], argv[2], 'w');
        do
            put(all, bytes ? bytes : ENDLESS_BLOCK);
        while (bytes == 0);
        report_now(argv[1], argv[2], 'd');
    } else {
        report(argv[1], argv[2], 's', &first);
    }
    for (;;)
        pause();
}
