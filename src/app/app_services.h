/* app_services: what topology.c has started, in its order. NULL: it does not run here. */
#pragma once

#include "app/app_internal.h"
#include "convert/convert.h"
#include "services/auth/auth.h"
#include "services/file/file.h"
#include "services/gateway/gateway.h"
#include "services/media/media.h"
#include "services/meeting/meeting.h"
#include "services/message/message.h"
#include "services/presence/presence.h"
#include "services/signaling/signaling.h"
#include "services/task/task.h"
#include "services/user/user.h"

struct app_services {
    struct loop *timers; /* what services do by the clock */
    struct app_control *control;
    struct app_operate *operate_service;
    struct user_service *user_service;
    struct auth_service *auth_service;
    struct media_service *media_service;
    struct meeting_service *meeting_service;
    struct signaling_service *signaling_service;
    struct convert *convert; /* looks into files, in processes of their own */
    struct file_service *file_service;
    struct message_service *message_service;
    struct app_shards *shards; /* whom to call for which conversation; NULL: there is one */
    struct presence_service *presence_service;
    struct task_service *task_service;
    struct gateway *gateway;
    /* The same behind their shares of threads: what others call. */
    ProtobufCService *operate;
    ProtobufCService *user;
    ProtobufCService *auth;
    ProtobufCService *media;
    ProtobufCService *meeting;
    ProtobufCService *signaling, *signaling_peers, *media_peers;
    ProtobufCService *file;
    ProtobufCService *message, *group, *contact, *webhook;
    ProtobufCService *task;
    ProtobufCService *presence;
};

/* app_face.c */
MUST_USE enum err app_face_create(struct app *app);
/* app_place.c: how these find their like in other processes; nothing without gRPC. */
struct signaling_apart app_signaling_apart(struct app *app);
struct media_apart app_media_apart(struct app *app);
