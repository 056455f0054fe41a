"""Each operation of the API is used by the package, or left out for a reason."""

import ast

import msgspec

from api.operations.client_package import FOLDER
from stemma_client import operations
from stemma_client._generated.events import EVENT_TYPES

FOR_A_BROWSER = "of the pages: a script has a key"
AS_ROWS = "a table of the same rows has `to_pandas().to_csv()`"
BY_LONG_POLL = "the package waits by long polls, and follows events by `over_http`"
BY_PATH = "messages of NATS name its path"
FOR_MONITORS = "for the tools that watch a server"
FOR_LOG_CLIENTS = "for clients of C2SP tlog-tiles; the package checks proofs"
ONE_OF_MANY = "the package decides on many at once, or lists them"

LEFT_OUT = {
    "begin_session": FOR_A_BROWSER,
    "end_session": FOR_A_BROWSER,
    "create_invitation": FOR_A_BROWSER,
    "accept_invitation": FOR_A_BROWSER,
    "issue_sign_in_code": FOR_A_BROWSER,
    "get_image_picture": FOR_A_BROWSER,
    "list_by_name": FOR_A_BROWSER,
    "list_tasks": FOR_A_BROWSER,
    "get_training_count": FOR_A_BROWSER,
    "get_item_thumbnail": FOR_A_BROWSER,
    "get_flip_book_points": FOR_A_BROWSER,
    "get_flip_book_epoch_points": FOR_A_BROWSER,
    "annotate_by_suggestion": FOR_A_BROWSER,
    "annotate_image_blindly": FOR_A_BROWSER,
    "list_blind_images": FOR_A_BROWSER,
    "list_blind_annotations": FOR_A_BROWSER,
    "export_trail": AS_ROWS,
    "get_metrics_csv": AS_ROWS,
    "get_predictions_csv": AS_ROWS,
    "get_suspects_csv": AS_ROWS,
    "get_flip_book_items_csv": AS_ROWS,
    "follow_events": BY_LONG_POLL,
    "follow_version": BY_LONG_POLL,
    "follow_experiment": BY_LONG_POLL,
    "get_event_data": BY_PATH,
    "get_liveness": FOR_MONITORS,
    "get_readiness": FOR_MONITORS,
    "get_service_metrics": FOR_MONITORS,
    "get_log_tile": FOR_LOG_CLIENTS,
    "get_signed_checkpoint": FOR_LOG_CLIENTS,
    "get_version_metrics": ONE_OF_MANY,
    "get_suspect": ONE_OF_MANY,
    "decide_suspect": ONE_OF_MANY,
    "correct_suspect": ONE_OF_MANY,
}


def test_every_operation_is_used_or_left_out_for_a_reason() -> None:
    used = {
        node.attr
        for path in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "operations"
    }
    new = operations.ANSWERS.keys() - used - LEFT_OUT.keys()
    assert not new, "use them in the package, or say in LEFT_OUT why not"
    assert LEFT_OUT.keys() <= operations.ANSWERS.keys()
    assert used & LEFT_OUT.keys() == set()


def test_every_answer_has_a_decoder() -> None:
    """msgspec finds out only then whether the types of a union can be told apart."""
    for answer in operations.ANSWERS.values():
        msgspec.json.Decoder(answer)
    for event in EVENT_TYPES.values():
        msgspec.json.Decoder(event)
