/*
 * The least that a page fault over TCP can cost: what `bench postcopy` compares the daemon with.
 *
 *   fault-loop RAM-MIB WAITS LOAD
 *
 * Two processes and a loopback connection. The destination has a memfd whose pages are all missing, a thread that
 * touches them in random order, and one that serves its faults: it reads the userfaultfd, asks for the page and places
 * what comes. The source has the pages, and answers. Messages have the sizes that they have in a migration: requests
 * of 16 bytes, pages of 8 + 4096. With LOAD 1 a second connection carries all pages in order, as fast as it can, and
 * they are placed too.
 *
 * Ends after WAITS touches that faulted (0: when all pages were touched, or have come) and prints one line of JSON.
 * Blocking calls only, a thread for each task.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, HEADER = 8, REQUEST = 16, RUN_PAGES = 32 };

/* Page records as in RAM sections: the low bits of the offset are flags, here those of a page of the same block. */
enum { FLAGS = 0x28 };

static uint64_t ram_bytes;
static unsigned char *ram;
static int uffd;
static int page_socket;
static int bulk_socket;
static atomic_int bulk_ended;
static atomic_ulong faults;

static void die(const char *what) {
    fprintf(stderr, "fault-loop: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_nanos(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Returns 0 at the end of the connection. */
static int read_fully(int fd, void *to, size_t count) {
    unsigned char *at = to;
    while (count > 0) {
        ssize_t n = read(fd, at, count);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) {
            return 0;
        }
        if (n < 0) {
            die("read");
        }
        at += n;
        count -= (size_t) n;
    }
    return 1;
}

static int write_fully(int fd, const void *from, size_t count) {
    const unsigned char *at = from;
    while (count > 0) {
        ssize_t n = send(fd, at, count, MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            return 0;
        }
        if (n < 0) {
            die("send");
        }
        at += n;
        count -= (size_t) n;
    }
    return 1;
}

static void start(void *(*body)(void *)) {
    pthread_t thread;
    errno = pthread_create(&thread, NULL, body, NULL);
    if (errno != 0) {
        die("pthread_create");
    }
}

/* The record of a page, in place. */
static void put_page(unsigned char *record, uint64_t offset) {
    uint64_t header = htobe64(offset | FLAGS);
    memcpy(record, &header, HEADER);
    memcpy(record + HEADER, ram + offset, PAGE);
}

/* Source: all pages in order. */
static void *push(void *unused) {
    unsigned char *run = malloc(RUN_PAGES * (HEADER + PAGE));
    (void) unused;
    for (uint64_t at = 0; at < ram_bytes;) {
        size_t count = 0;
        for (; count < RUN_PAGES && at < ram_bytes; count++, at += PAGE) {
            put_page(run + count * (HEADER + PAGE), at);
        }
        if (!write_fully(bulk_socket, run, count * (HEADER + PAGE))) {
            break;
        }
    }
    shutdown(bulk_socket, SHUT_WR);
    free(run);
    return NULL;
}

/* Source: answers until the destination has closed, then tells what it cost. */
static void serve(int report) {
    unsigned char request[REQUEST];
    unsigned char record[HEADER + PAGE];
    double before = cpu_seconds();
    if (bulk_socket >= 0) {
        start(push);
    }
    while (read_fully(page_socket, request, REQUEST)) {
        uint64_t offset;
        memcpy(&offset, request + 4, sizeof offset);
        put_page(record, be64toh(offset));
        if (!write_fully(page_socket, record, sizeof record)) {
            break;
        }
    }
    double cpu = cpu_seconds() - before;
    if (write(report, &cpu, sizeof cpu) != sizeof cpu) {
        die("report");
    }
    exit(0);
}

/* Whoever is second finds the page there and wakes who waits for it: the first may have come before the wait began. */
static void place(const unsigned char *record) {
    uint64_t header;
    memcpy(&header, record, HEADER);
    uint64_t offset = be64toh(header) & ~(uint64_t) (PAGE - 1);
    struct uffdio_copy copy = {
        .dst = (uintptr_t) ram + offset, .src = (uintptr_t) record + HEADER, .len = PAGE, .mode = 0};
    if (ioctl(uffd, UFFDIO_COPY, &copy) < 0) {
        struct uffdio_range range = {.start = copy.dst, .len = PAGE};
        if (errno != EEXIST || ioctl(uffd, UFFDIO_WAKE, &range) < 0) {
            die("UFFDIO_COPY");
        }
    }
}

/* Destination: one fault after the other. */
static void *page_in(void *unused) {
    unsigned char request[REQUEST] = {0, 4, 0, 12};
    unsigned char *record = malloc(HEADER + PAGE);
    uint32_t length = htobe32(PAGE);
    memcpy(request + 12, &length, sizeof length);
    (void) unused;
    for (;;) {
        struct uffd_msg message;
        ssize_t n = read(uffd, &message, sizeof message);
        if (n != sizeof message || message.event != UFFD_EVENT_PAGEFAULT) {
            die("userfaultfd");
        }
        atomic_fetch_add(&faults, 1);
        uint64_t offset = (message.arg.pagefault.address - (uintptr_t) ram) & ~(uint64_t) (PAGE - 1);
        uint64_t start = htobe64(offset);
        memcpy(request + 4, &start, sizeof start);
        if (!write_fully(page_socket, request, REQUEST) || !read_fully(page_socket, record, HEADER + PAGE)) {
            return NULL;
        }
        place(record);
    }
}

/* Destination: what comes without being asked for. */
static void *take_bulk(void *unused) {
    unsigned char *run = malloc(RUN_PAGES * (HEADER + PAGE));
    (void) unused;
    for (uint64_t left = ram_bytes / PAGE; left > 0;) {
        size_t count = left < RUN_PAGES ? (size_t) left : RUN_PAGES;
        if (!read_fully(bulk_socket, run, count * (HEADER + PAGE))) {
            die("bulk");
        }
        for (size_t i = 0; i < count; i++) {
            place(run + i * (HEADER + PAGE));
        }
        left -= count;
    }
    atomic_store(&bulk_ended, 1);
    free(run);
    return NULL;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *) a;
    int64_t y = *(const int64_t *) b;
    return (x > y) - (x < y);
}

/* Touches every page once in an order that visits each (a full-period generator); returns how many faulted. */
static uint64_t touch(uint64_t most, int64_t *waits, uint64_t *touched) {
    static unsigned char copy[PAGE];
    uint64_t pages = ram_bytes / PAGE;
    uint64_t mask = 1;
    while (mask < pages) {
        mask <<= 1;
    }
    mask -= 1;
    uint64_t state = 12345 & mask;
    uint64_t waited = 0;
    *touched = 0;
    for (uint64_t i = 0; i <= mask && waited < most && !(bulk_socket >= 0 && atomic_load(&bulk_ended)); i++) {
        state = (state * 1664525 + 1013904223) & mask;
        uint64_t page = state ^ (state >> 7);
        if (page >= pages) {
            continue;
        }
        unsigned long faults_before = atomic_load(&faults);
        int64_t before = now_nanos();
        memcpy(copy, ram + page * PAGE, PAGE);
        int64_t nanos = now_nanos() - before;
        (*touched)++;
        if (copy[0] != (unsigned char) (page * 31 + 1)) {
            fprintf(stderr, "fault-loop: page %llu is not what it was\n", (unsigned long long) page);
            exit(1);
        }
        if (atomic_load(&faults) != faults_before) {
            waits[waited++] = nanos;
        }
    }
    return waited;
}

static void register_ram(void) {
    struct uffdio_api api = {.api = UFFD_API, .features = 0};
    struct uffdio_register all = {
        .range = {.start = (uintptr_t) ram, .len = ram_bytes}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    uffd = (int) syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0 || ioctl(uffd, UFFDIO_REGISTER, &all) < 0) {
        die("userfaultfd");
    }
}

static void map(const char *name) {
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t) ram_bytes) < 0) {
        die("memfd");
    }
    ram = mmap(NULL, ram_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ram == MAP_FAILED) {
        die("mmap");
    }
}

static void fill(void) {
    for (uint64_t page = 0; page < ram_bytes / PAGE; page++) {
        memset(ram + page * PAGE, (int) (unsigned char) (page * 31 + 1), PAGE);
    }
}

static int connected(int listener, const struct sockaddr_in *address, int *server) {
    int one = 1;
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || connect(client, (const struct sockaddr *) address, sizeof *address) < 0) {
        die("connect");
    }
    *server = accept(listener, NULL, NULL);
    if (*server < 0) {
        die("accept");
    }
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(*server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return client;
}

int main(int count, char **values) {
    if (count != 4) {
        fprintf(stderr, "usage: fault-loop RAM-MIB WAITS LOAD\n");
        return 2;
    }
    ram_bytes = strtoull(values[1], NULL, 10) << 20;
    uint64_t most = strtoull(values[2], NULL, 10);
    int load = strcmp(values[3], "1") == 0;
    uint64_t pages = ram_bytes / PAGE;
    if (most == 0 || most > pages) {
        most = pages;
    }

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *) &address, sizeof address) < 0 || listen(listener, 2) < 0
        || getsockname(listener, (struct sockaddr *) &address, &length) < 0) {
        die("listen");
    }
    int page_server;
    int bulk_server = -1;
    int report[2];
    int go[2];
    page_socket = connected(listener, &address, &page_server);
    bulk_socket = load ? connected(listener, &address, &bulk_server) : -1;
    if (pipe(report) < 0 || pipe(go) < 0) {
        die("pipe");
    }
    pid_t source = fork();
    if (source < 0) {
        die("fork");
    }
    char ready = 1;
    if (source == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(page_socket);
        page_socket = page_server;
        if (load) {
            close(bulk_socket);
        }
        bulk_socket = bulk_server;
        map("source");
        fill();
        if (write(report[1], &ready, 1) != 1 || read(go[0], &ready, 1) != 1) {
            die("start");
        }
        serve(report[1]);
    }
    close(page_server);
    if (load) {
        close(bulk_server);
    }
    map("destination");
    register_ram();
    int64_t *waits = malloc(pages * sizeof *waits);
    memset(waits, 1, pages * sizeof *waits);
    if (read(report[0], &ready, 1) != 1 || write(go[1], &ready, 1) != 1) {
        die("start");
    }

    double cpu_before = cpu_seconds();
    int64_t began = now_nanos();
    start(page_in);
    if (load) {
        start(take_bulk);
    }
    uint64_t touched;
    uint64_t waited = touch(most, waits, &touched);
    double seconds = (double) (now_nanos() - began) / 1e9;
    double destination_cpu = cpu_seconds() - cpu_before;
    shutdown(page_socket, SHUT_RDWR);
    if (load) {
        shutdown(bulk_socket, SHUT_RDWR);
    }
    double source_cpu = 0;
    if (read(report[0], &source_cpu, sizeof source_cpu) != sizeof source_cpu) {
        die("report");
    }
    if (waited == 0) {
        fprintf(stderr, "fault-loop: no touch faulted\n");
        return 1;
    }
    qsort(waits, waited, sizeof *waits, by_value);
    printf("{\"count\": %llu, \"waits\": %llu, \"p50-micros\": %.1f, \"p99-micros\": %.1f, \"max-micros\": %.1f, "
           "\"seconds\": %.6f, \"source-cpu\": %.6f, \"destination-cpu\": %.6f}\n",
           (unsigned long long) touched, (unsigned long long) waited, (double) waits[(waited - 1) * 50 / 100] / 1e3,
           (double) waits[(waited - 1) * 99 / 100] / 1e3, (double) waits[waited - 1] / 1e3, seconds, source_cpu,
           destination_cpu);
    fflush(stdout);
    _exit(0);
}
