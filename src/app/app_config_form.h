/* app_config_form: the forms of texts that rows of the table name. */
#pragma once

#include "core/config.h"

extern const struct config_form app_service_form;
extern const struct config_form app_remote_form;
extern const struct config_form app_endpoint_form;
extern const struct config_form app_prefix_form;
extern const struct config_form app_host_form;
extern const struct config_form app_site_form;
extern const struct config_form app_url_form;
extern const struct config_form app_origin_form;
extern const struct config_form app_range_form;
extern const struct config_form app_ip_form;
extern const struct config_form app_stun_form;
extern const struct config_form app_key_form;
extern const struct config_form app_store_form;
extern const struct config_form app_shard_store_form;
extern const struct config_form app_broker_form;
extern const struct config_form app_redis_form;
extern const struct config_form app_key_prefix_form;
extern const struct config_form app_ratio_form;
extern const struct config_form app_topic_form;
extern const struct config_form app_secret_form;
