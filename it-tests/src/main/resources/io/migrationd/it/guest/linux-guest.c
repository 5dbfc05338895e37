/*
 * All that the Linux test guest runs. Threads:
 *   writer, one per CPU   keeps pages with a sequence number and a checksum; checks each one before it writes it again
 *   watcher               checks cold pages, which are written once, and the clock
 *   echo                  TCP port 7
 *   main                  prints one line per second
 *
 * Lines:  G <version> <clock source> <cpus>                                         once, when all is set up
 *         L <line> <ms> <page writes> <pages checked> <damaged> <clock steps back> <longest ms between looks> <echoed>
 *         E <what>                                                                  damage, when it is found
 * Environment (QEMU: -append NAME=VALUE): HOT_KIB per CPU, COLD_MIB, PAUSE_US after each page, LOOK_US after each look.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, WORDS = PAGE / 8, ECHO_PORT = 7, CONNECTIONS = 16 };

static atomic_ulong writes, checks, damaged, steps_back, echoed;
static atomic_llong latest, longest_gap;
static unsigned char *cold;
static long cold_pages, hot_pages, pause_us, look_us;

static long setting(const char *name, long otherwise)
{
    const char *value = getenv(name);
    return value ? atol(value) : otherwise;
}

static uint64_t next(uint64_t x)
{
    x ^= x << 13;
    x ^= x >> 7;
    return x ^ x << 17;
}

/* owner, page, sequence, noise of these three, sum of all before */
static void fill(uint64_t *page, uint64_t owner, uint64_t number, uint64_t sequence)
{
    uint64_t noise = 0x9E3779B97F4A7C15u ^ owner << 56 ^ number << 24 ^ sequence, sum;
    page[0] = owner;
    page[1] = number;
    page[2] = sequence;
    sum = owner + number + sequence;
    for (int i = 3; i < WORDS - 1; i++) {
        noise = next(noise);
        page[i] = noise;
        sum += noise;
    }
    page[WORDS - 1] = sum;
}

static void verify(const uint64_t *page, uint64_t owner, uint64_t number, uint64_t sequence)
{
    uint64_t sum = 0;
    for (int i = 0; i < WORDS - 1; i++)
        sum += page[i];
    atomic_fetch_add(&checks, 1);
    if (page[0] != owner || page[1] != number || page[2] != sequence || page[WORDS - 1] != sum) {
        atomic_fetch_add(&damaged, 1);
        printf("E page %lu of %lu: expected sequence %lu, got %lu of page %lu of %lu, sum %s\n", number, owner, sequence,
               page[2], page[1], page[0], page[WORDS - 1] == sum ? "right" : "wrong");
    }
}

/* What any thread has seen before must not be later than what this one sees now. */
static long long look_at_clock(clockid_t clock)
{
    struct timespec time;
    long long before = atomic_load(&latest), now;
    clock_gettime(clock, &time);
    now = time.tv_sec * 1000000000LL + time.tv_nsec;
    if (clock != CLOCK_MONOTONIC)
        return now;
    if (now < before) {
        atomic_fetch_add(&steps_back, 1);
        printf("E clock: expected at least %lld ns, got %lld\n", before, now);
    }
    while (before < now && !atomic_compare_exchange_weak(&latest, &before, now))
        ;
    return now;
}

static void pause_for(long microseconds)
{
    struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};
    if (microseconds > 0)
        nanosleep(&time, NULL);
}

static void *pages_of(long count)
{
    void *pages = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        puts("E no memory");
        exit(1);
    }
    return pages;
}

static void *write_pages(void *cpu)
{
    uint64_t owner = 1 + (uintptr_t) cpu;
    unsigned char *hot = pages_of(hot_pages);
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(owner - 1, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    for (uint64_t sequence = 1;; sequence++) {
        for (long i = 0; i < hot_pages; i++) {
            uint64_t *page = (uint64_t *) (hot + i * PAGE);
            if (sequence > 1)
                verify(page, owner, i, sequence - 1);
            fill(page, owner, i, sequence);
            atomic_fetch_add(&writes, 1);
            pause_for(pause_us);
        }
        look_at_clock(CLOCK_MONOTONIC);
    }
    return NULL;
}

static void *watch(void *unused)
{
    long long before = look_at_clock(CLOCK_MONOTONIC), boot = look_at_clock(CLOCK_BOOTTIME);
    for (uint64_t i = 1;; i++) {
        long page = i * 7919 % cold_pages;
        verify((uint64_t *) (cold + page * PAGE), 0, page, 1);
        long long now = look_at_clock(CLOCK_MONOTONIC), now_boot = look_at_clock(CLOCK_BOOTTIME);
        if (now - before > atomic_load(&longest_gap))
            atomic_store(&longest_gap, now - before);
        if (now_boot < boot)
            atomic_fetch_add(&steps_back, 1);
        before = now;
        boot = now_boot;
        pause_for(look_us);
    }
    return unused;
}

static void *echo_to(void *connection)
{
    int fd = (int) (intptr_t) connection;
    char buffer[4096];
    for (ssize_t count; (count = read(fd, buffer, sizeof buffer)) > 0;)
        for (ssize_t done = 0, now; done < count; done += now) {
            if ((now = write(fd, buffer + done, count - done)) <= 0)
                goto over;
            atomic_fetch_add(&echoed, now);
        }
over:
    close(fd);
    return NULL;
}

static void start(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, argument)) {
        puts("E no thread");
        exit(1);
    }
    pthread_detach(thread);
}

static void *echo(void *unused)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(ECHO_PORT)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (listener < 0 || bind(listener, (void *) &address, sizeof address) || listen(listener, CONNECTIONS)) {
        perror("E echo");
        return NULL;
    }
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;)
        start(echo_to, (void *) (intptr_t) fd);
    return unused;
}

static const char *clock_source(char *name, size_t size)
{
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY);
    ssize_t count = fd < 0 ? 0 : read(fd, name, size - 1);
    name[count > 0 ? count : 0] = 0;
    name[strcspn(name, "\n")] = 0;
    return name;
}

int main(void)
{
    char name[32];
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct timespec next_line;
    setvbuf(stdout, NULL, _IOLBF, 0);
    cold_pages = setting("COLD_MIB", 16) * 256;
    hot_pages = setting("HOT_KIB", 1024) / 4;
    pause_us = setting("PAUSE_US", 1000);
    look_us = setting("LOOK_US", 2000);
    cold = pages_of(cold_pages);
    for (long i = 0; i < cold_pages; i++)
        fill((uint64_t *) (cold + i * PAGE), 0, i, 1);
    for (long cpu = 0; cpu < cpus; cpu++)
        start(write_pages, (void *) cpu);
    start(watch, NULL);
    start(echo, NULL);
    printf("G 1 %s %ld\n", clock_source(name, sizeof name), cpus);
    clock_gettime(CLOCK_MONOTONIC, &next_line);
    for (unsigned long line = 1;; line++) {
        long long now = look_at_clock(CLOCK_MONOTONIC);
        printf("L %lu %lld %lu %lu %lu %lu %lld %lu\n", line, now / 1000000, atomic_load(&writes), atomic_load(&checks),
               atomic_load(&damaged), atomic_load(&steps_back), atomic_exchange(&longest_gap, 0) / 1000000,
               atomic_load(&echoed));
        next_line.tv_sec++;
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next_line, NULL))
            ;
    }
}
