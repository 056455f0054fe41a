"""Every route with what it asks for, and where; written by hand, not from the code.

A right `of` a project is asked for in the project of what the path or query names; `anywhere` in
some project, `everywhere` in all. `account` asks for any account, and `open` for nothing. `token`
asks for a job's token, whoever the caller is.
"""

RIGHTS = {
    "viewer": {"read"},
    "annotator": {"read", "annotate"},
    "trainer": {"read", "annotate", "train"},
    "auditor": {"read", "audit"},
    "administrator": {"read", "annotate", "train", "test", "audit", "administer"},
}

TABLE = """
read anywhere          GET    /api/v1/search
read anywhere          GET    /api/v1/tasks
read anywhere          GET    /api/v1/trainings/count
train anywhere         POST   /api/v1/projects
read anywhere          GET    /api/v1/projects
read of                GET    /api/v1/projects/{project_id}
administer of          PATCH  /api/v1/projects/{project_id}
read of                GET    /api/v1/projects/{project_id}/dataset
train of               POST   /api/v1/projects/{project_id}/test-set
train of               POST   /api/v1/projects/{project_id}/validation-split
read of                GET    /api/v1/projects/{project_id}/groups
read of                GET    /api/v1/projects/{project_id}/near-duplicates
annotate of            POST   /api/v1/projects/{project_id}/near-duplicates/assign
train of               POST   /api/v1/projects/{project_id}/group-key
train of               DELETE /api/v1/projects/{project_id}/group-key
annotate of            POST   /api/v1/projects/{project_id}/snapshots
read of                GET    /api/v1/projects/{project_id}/snapshots
annotate of            DELETE /api/v1/projects/{project_id}/snapshots
read of                GET    /api/v1/projects/{project_id}/difference
annotate of            POST   /api/v1/projects/{project_id}/images
read of                GET    /api/v1/projects/{project_id}/images
read of                GET    /api/v1/projects/{project_id}/imports
annotate of            POST   /api/v1/projects/{project_id}/imports
annotate of            POST   /api/v1/projects/{project_id}/imports/upload
read of                GET    /api/v1/projects/{project_id}/export
read of                GET    /api/v1/projects/{project_id}/views
annotate of            POST   /api/v1/projects/{project_id}/views
read of                GET    /api/v1/images/{image_id}
annotate of            DELETE /api/v1/images/{image_id}
read of                GET    /api/v1/images/{image_id}/content
read of                GET    /api/v1/images/{image_id}/picture
read of                GET    /api/v1/images/{image_id}/thumbnail
annotate of            PUT    /api/v1/images/{image_id}/split
annotate of            PUT    /api/v1/images/{image_id}/annotations/{view_id}
annotate of            PUT    /api/v1/images/{image_id}/reviews/{view_id}
annotate of            DELETE /api/v1/images/{image_id}/reviews/{view_id}
annotate of            PUT    /api/v1/images/{image_id}/blind-annotations/{view_id}
annotate of            GET    /api/v1/views/{view_id}/blind-images
read of                GET    /api/v1/views/{view_id}/agreement
read of                GET    /api/v1/views/{view_id}/agreement/images
read of                GET    /views/{view_id}/agreement
administer of          POST   /api/v1/images/{image_id}/erase
read of                GET    /api/v1/images/{image_id}/erasure
read of                GET    /api/v1/imports/{import_id}
read of                GET    /api/v1/imports/{import_id}/report
read of                GET    /api/v1/views/{view_id}
annotate of            PATCH  /api/v1/views/{view_id}
train of               DELETE /api/v1/views/{view_id}
train of               POST   /api/v1/views/{view_id}/restore
annotate of            PUT    /api/v1/views/{view_id}/conditions
annotate of            POST   /api/v1/views/{view_id}/concepts
annotate of            PATCH  /api/v1/views/{view_id}/concepts/{concept_id}
annotate of            DELETE /api/v1/views/{view_id}/concepts/{concept_id}
annotate of            POST   /api/v1/views/{view_id}/annotations
train of               POST   /api/v1/views/{view_id}/suggestions
read of                GET    /api/v1/views/{view_id}/suggestions
read of                GET    /api/v1/views/{view_id}/suggestions/{image_id}
annotate of            PUT    /api/v1/views/{view_id}/suggestions/{image_id}/annotations
annotate of            POST   /api/v1/views/{view_id}/suggestions/accept
annotate of            POST   /api/v1/views/{view_id}/suggestions/reject
read of                GET    /api/v1/views/{view_id}/models
train of               POST   /api/v1/views/{view_id}/versions
read of                GET    /api/v1/views/{view_id}/dataset
train of               POST   /api/v1/views/{view_id}/adopted-files
train of               POST   /api/v1/views/{view_id}/adoptions
read of                GET    /api/v1/views/{view_id}/versions/estimate
train of               POST   /api/v1/views/{view_id}/experiments
read of                GET    /api/v1/views/{view_id}/experiments
read of                GET    /api/v1/views/{view_id}/experiments/estimate
read of                GET    /api/v1/experiments/{experiment_id}
read of                GET    /api/v1/experiments/{experiment_id}/trials
read of                GET    /api/v1/experiments/{experiment_id}/curves
read of                GET    /api/v1/experiments/{experiment_id}/events
train of               POST   /api/v1/experiments/{experiment_id}/stop
read anywhere          GET    /api/v1/forms/{kind}/space
read of                GET    /api/v1/models/{model_id}
train of               PATCH  /api/v1/models/{model_id}
train of               DELETE /api/v1/models/{model_id}
train of               POST   /api/v1/models/{model_id}/forks
train of               POST   /api/v1/models/{model_id}/versions
read anywhere          GET    /api/v1/versions
read of                GET    /api/v1/versions/{version_id}
train of               PATCH  /api/v1/versions/{version_id}
train of               DELETE /api/v1/versions/{version_id}
read of                GET    /api/v1/versions/{version_id}/progress
read of                GET    /api/v1/versions/{version_id}/metrics
read of                GET    /api/v1/versions/{version_id}/metrics.csv
read of                GET    /api/v1/versions/{version_id}/checkpoint
read of                GET    /api/v1/versions/{version_id}/manifest
read of                GET    /api/v1/projects/{project_id}/images/by-digest/{digest}
read of                GET    /api/v1/versions/{version_id}/events
read of                GET    /api/v1/versions/{version_id}/model.json
read of                GET    /api/v1/versions/{version_id}/model-card
read of                GET    /api/v1/versions/{version_id}/code
read of                GET    /api/v1/versions/{version_id}/source
read of                GET    /api/v1/versions/{version_id}/compare/{other_id}/code
train of               POST   /api/v1/versions/{version_id}/onnx
read of                GET    /api/v1/versions/{version_id}/onnx
read of                GET    /api/v1/versions/{version_id}/model.onnx
train of               POST   /api/v1/versions/{version_id}/retry
train of               POST   /api/v1/versions/{version_id}/stop
train of               POST   /api/v1/versions/{version_id}/cancel
read of                GET    /api/v1/versions/{version_id}/evaluation
read of                GET    /api/v1/versions/{version_id}/evaluation/curves
read of                GET    /api/v1/versions/{version_id}/evaluation/confusion
read of                GET    /api/v1/versions/{version_id}/evaluation/images
read of                GET    /api/v1/versions/{version_id}/evaluation/images/{image_id}
read of                GET    /api/v1/versions/{version_id}/items/{key}/thumbnail
read of                GET    /api/v1/versions/{version_id}/evaluation/predictions.csv
train of               PUT    /api/v1/versions/{version_id}/evaluation/thresholds
test of                POST   /api/v1/versions/{version_id}/test-evaluations
read of                GET    /api/v1/versions/{version_id}/test-evaluations
read of                GET    /api/v1/versions/{version_id}/compare/{other_id}
read of                GET    /api/v1/versions/{version_id}/flip-book
read of                GET    /api/v1/versions/{version_id}/flip-book/epochs
read of                GET    /api/v1/versions/{version_id}/flip-book/points
read of                GET    /api/v1/versions/{version_id}/flip-book/epochs/{epoch}/points
read of                GET    /api/v1/versions/{version_id}/flip-book/epochs/{epoch}/items
read of                GET    /api/v1/versions/{version_id}/flip-book/items/{item}
read of                GET    /api/v1/versions/{version_id}/flip-book/items.csv
read of                GET    /api/v1/versions/{version_id}/compare/{other_id}/corrected
read of                GET    /api/v1/versions/{version_id}/suspects
read of                GET    /api/v1/versions/{version_id}/suspects.csv
read of                GET    /api/v1/versions/{version_id}/suspects/{item}
annotate of            PUT    /api/v1/versions/{version_id}/suspects/{item}/decision
annotate of            PUT    /api/v1/versions/{version_id}/suspects/{item}/annotations
annotate of            POST   /api/v1/versions/{version_id}/suspects/decisions
read of                GET    /api/v1/versions/{version_id}/compare/{other_id}/slices
read of                GET    /api/v1/versions/{version_id}/evaluation/slices
read of                GET    /api/v1/versions/{version_id}/evaluation/calibration
read anywhere          GET    /api/v1/forms/{kind}
read anywhere          GET    /api/v1/workers
token                  GET    /api/v1/jobs/{version_id}/manifest
token                  GET    /api/v1/jobs/{version_id}/images
token                  GET    /api/v1/jobs/{version_id}/images/{image}
token                  GET    /api/v1/jobs/{version_id}/missing
token                  GET    /api/v1/jobs/{version_id}/files/{digest}
token                  PUT    /api/v1/jobs/{version_id}/source
token                  PUT    /api/v1/jobs/{version_id}/checkpoint
token                  PUT    /api/v1/jobs/{version_id}/predictions
token                  PUT    /api/v1/jobs/{version_id}/items
token                  PUT    /api/v1/jobs/{version_id}/onnx
token                  PUT    /api/v1/jobs/{version_id}/state
token                  DELETE /api/v1/jobs/{version_id}/state
token                  POST   /api/v1/jobs/{version_id}/state/claim
token                  POST   /api/v1/jobs/{version_id}/state/check
token                  GET    /api/v1/jobs/{version_id}/handed-back
token                  PUT    /api/v1/jobs/{version_id}/handed-back
token                  POST   /api/v1/jobs/{version_id}/room
administer everywhere  POST   /api/v1/trainers
read anywhere          GET    /api/v1/trainers
read anywhere          GET    /api/v1/trainers/{trainer_id}
administer everywhere  PUT    /api/v1/trainers/{trainer_id}/form
administer everywhere  POST   /api/v1/trainers/{trainer_id}/retire
administer everywhere  GET    /api/v1/trainers/seeds
administer everywhere  POST   /api/v1/trainers/{trainer_id}/seeds
administer everywhere  DELETE /api/v1/trainers/{trainer_id}/seeds/{worker}
read anywhere          GET    /api/v1/status
read anywhere          GET    /api/v1/metrics
account                GET    /api/v1/about
audit of               GET    /api/v1/audit/trail
audit of               GET    /api/v1/audit/trail/export
audit everywhere       GET    /api/v1/audit/correlations/{correlation_id}
audit everywhere       GET    /api/v1/audit/checkpoints
audit everywhere       GET    /api/v1/audit/checkpoints/latest
audit everywhere       GET    /api/v1/audit/proofs/consistency
audit everywhere       GET    /api/v1/audit/proofs/inclusion
audit everywhere       GET    /api/v1/refusals
audit everywhere       GET    /audit/log/checkpoint
audit everywhere       GET    /audit/log/tile/{tile}
account                GET    /api/v1/whoami
administer anywhere    GET    /api/v1/accounts
administer everywhere  POST   /api/v1/accounts
administer everywhere  DELETE /api/v1/accounts/{account_id}
administer everywhere  POST   /api/v1/accounts/{account_id}/erase
administer anywhere    POST   /api/v1/accounts/{account_id}/roles
administer of          DELETE /api/v1/accounts/{account_id}/roles/{role}
administer anywhere    GET    /api/v1/webhooks
administer anywhere    POST   /api/v1/webhooks
administer anywhere    GET    /api/v1/webhooks/{webhook_id}
administer anywhere    DELETE /api/v1/webhooks/{webhook_id}
administer anywhere    POST   /api/v1/webhooks/{webhook_id}/pause
administer anywhere    POST   /api/v1/webhooks/{webhook_id}/resume
administer anywhere    POST   /api/v1/webhooks/{webhook_id}/replay
administer anywhere    POST   /api/v1/webhooks/{webhook_id}/rotate
administer anywhere    POST   /api/v1/webhooks/{webhook_id}/test
open                   POST   /api/v1/sessions
account                POST   /api/v1/sessions/codes
account                DELETE /api/v1/sessions/current
open                   GET    /login
open                   GET    /login/oidc
open                   GET    /login/oidc/callback
administer everywhere  POST   /api/v1/invitations
open                   POST   /api/v1/invitations/accept
account                GET    /api/v1/keys
account                POST   /api/v1/keys
account                POST   /api/v1/keys/{key_id}/rotate
account                DELETE /api/v1/keys/{key_id}
account                GET    /
read anywhere          GET    /search
open                   GET    /docs
open                   GET    /docs/{name}
read of                GET    /projects/{project_id}
read of                GET    /projects/{project_id}/images
read of                GET    /projects/{project_id}/views
read of                GET    /projects/{project_id}/imports
read of                GET    /projects/{project_id}/groups
read of                GET    /projects/{project_id}/near-duplicates
read of                GET    /projects/{project_id}/snapshots
read of                GET    /images/{image_id}
read of                GET    /views/{view_id}
read of                GET    /views/{view_id}/annotate
read of                GET    /views/{view_id}/concepts
read of                GET    /views/{view_id}/lineage
read of                GET    /views/{view_id}/lineage.svg
read of                GET    /views/{view_id}/compare
read of                GET    /views/{view_id}/experiments
read of                GET    /experiments/{experiment_id}
read of                GET    /experiments/{experiment_id}/compare
read of                GET    /versions/{version_id}
read of                GET    /versions/{version_id}/evaluation
read of                GET    /versions/{version_id}/evaluation/worst
read of                GET    /versions/{version_id}/evaluation/images/{image_id}
read of                GET    /versions/{version_id}/flip-book
read of                GET    /versions/{version_id}/suspects
read of                GET    /versions/{version_id}/compare
read of                GET    /versions/{version_id}/compare/{other_id}
read anywhere          GET    /workers
audit of               GET    /audit
read anywhere          GET    /events
administer anywhere    GET    /webhooks
account                GET    /access
audit everywhere       GET    /audit/correlations/{correlation_id}
read anywhere          GET    /api/v1/events
read anywhere          GET    /api/v1/events/stream
read anywhere          GET    /api/v1/events/{position}/data
read anywhere          GET    /metrics
open                   GET    /health/live
open                   GET    /health/ready
open                   GET    /asyncapi
open                   GET    /problems
open                   GET    /client
open                   GET    /client/{file}
open                   GET    /asyncapi.yaml
open                   GET    /asyncapi.json
open                   GET    /schemas/events/{name}/{file}
open                   GET    /static/{file_path}
open                   GET    /notices
open                   GET    /reference
open                   GET    /schema/{path}
open                   GET    /schema
open                   GET    /schema/openapi.json
open                   GET    /schema/openapi.yaml
open                   GET    /schema/openapi.yml
"""

QUERIES = {
    "/api/v1/search": "text=digits",
    "/views/{view_id}/compare": "versions={version_id},{other_id}",
    "/api/v1/audit/trail": "project={project_id}",
    "/api/v1/audit/trail/export": "format=csv&project={project_id}",
    "/audit": "project={project_id}",
    "/api/v1/accounts/{account_id}/roles/{role}": "project_id={project_id}",
    "/api/v1/projects/{project_id}/export": "format=studio",
    "/api/v1/metrics": "version_id={version_id}",
    "/api/v1/projects/{project_id}/imports/upload": "name=a.zip",
    "/api/v1/jobs/{version_id}/state": "delivery=1",
    "/api/v1/jobs/{version_id}/state/claim": "delivery=1",
    "/api/v1/jobs/{version_id}/state/check": "delivery=1",
    "/api/v1/jobs/{version_id}/handed-back": "delivery=1",
    "/api/v1/jobs/{version_id}/images": "first=0&count=1",
}
"""What is asked with, where a route needs it to say what of."""
