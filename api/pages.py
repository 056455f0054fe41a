"""The pages: server-rendered, and live where something can change.

Nothing is only here: what a page does is a call of the API, sent by a small script.
"""

from litestar import Router

from api.pages_access import AccessPages
from api.pages_annotate import AnnotatePages
from api.pages_audit import AuditPages
from api.pages_compare import ComparePages
from api.pages_contract import ContractPages
from api.pages_evaluation import EvaluationPages
from api.pages_events import EventPages
from api.pages_images import ImagePages
from api.pages_imports import ImportPages
from api.pages_projects import ProjectPages
from api.pages_versions import VersionPages
from api.pages_views import ViewPages
from api.pages_webhooks import WebhookPages
from api.pages_workers import WorkerPages
from api.sign_in import LoginPages
from api.sign_in_provider import ProviderPages

PAGES = Router(
    "/",
    route_handlers=[
        ProjectPages,
        ImagePages,
        ImportPages,
        ViewPages,
        AnnotatePages,
        VersionPages,
        EvaluationPages,
        ComparePages,
        WorkerPages,
        AuditPages,
        EventPages,
        AccessPages,
        ContractPages,
        WebhookPages,
        LoginPages,
        ProviderPages,
    ],
    include_in_schema=False,
)
