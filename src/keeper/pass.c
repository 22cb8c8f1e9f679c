#include "pass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

int pass_send(int socket, const struct wire_writer *writer, int fd)
{
    union control control = {.header = {CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec part = {.iov_base = writer->data, .iov_len = writer->size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control.space;
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int pass_say(int socket, enum wire_type type)
{
    uint8_t buffer[WIRE_HEADER_SIZE];
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};

    wire_begin(&writer, type);
    wire_end(&writer);
    return pass_send(socket, &writer, -1);
}

int pass_send_stream(int socket, const struct pass_stream *stream)
{
    uint8_t buffer[PASS_FRAME_MAX];
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};

    wire_begin(&writer, WIRE_OUTPUT_OPEN);
    wire_put_number(&writer, WIRE_TAG_STREAM, stream->number);
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, stream->path);
    log_terms_put(&writer, &stream->terms);
    wire_put_number(&writer, WIRE_TAG_IN_LINE, stream->in_line);
    return wire_end(&writer) != 0 ? -E2BIG : pass_send(socket, &writer, stream->fd);
}

int pass_receive(int socket, int flags, struct wire_message *message, int *fd)
{
    static uint8_t buffer[PASS_FRAME_MAX];
    union control control;
    struct iovec part = {.iov_base = buffer, .iov_len = sizeof buffer};
    struct msghdr received = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control.space};
    struct cmsghdr *header;
    struct wire_frame frame;
    ssize_t got;

    *fd = -1;
    do /* a peer that was killed leaves an error first, then what it had sent, then the end */
        got = recvmsg(socket, &received, flags | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == ECONNRESET);
    header = got > 0 ? CMSG_FIRSTHDR(&received) : NULL;
    if (got <= 0)
        return got < 0 ? -errno : 0;
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(header), sizeof *fd);
    if (wire_find(buffer, (size_t)got, &frame) == got && wire_decode(&frame, message) == 0)
        return 1;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return -EPROTO;
}

bool pass_read_stream(const struct wire_message *message, int fd, struct pass_stream *stream)
{
    *stream = (struct pass_stream){
        .number = wire_number(message, WIRE_TAG_STREAM, 0), .fd = fd,
        .terms = log_terms_read(message),
        .in_line = wire_number(message, WIRE_TAG_IN_LINE, 0) != 0, .path = wire_text(message, WIRE_TAG_OUTPUT_PATH),
    };
    return message->type == WIRE_OUTPUT_OPEN && stream->path;
}
