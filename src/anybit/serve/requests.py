"""Requests with a JSON body, or with an image and JSON beside it."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from anybit.serve.errors import ServeError

__all__ = ["is_multipart", "problem_of", "read_image", "read_json", "request_body"]

_CURE = "See GET /v1/openapi.json for what a request holds."
_MOST_PROBLEMS = 3
_Model = TypeVar("_Model", bound=BaseModel)


def is_multipart(request: Request) -> bool:
    """Tell whether an image comes with the request."""
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def read_json(request: Request, model: type[_Model]) -> _Model:
    """Read a JSON body.

    Raises
    ------
    ServeError
        ``bad_request``, if it is something else, or does not fit the model.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    # Other types are what web pages of strangers can send without asking.
    if kind != "application/json":
        raise ServeError(
            "bad_request",
            f"The body must be application/json, got {kind[:60] or 'no content type'}.",
            _CURE,
            status=415,
        )
    return _parsed(await request.body(), model)


async def read_image(
    request: Request, part: str, model: type[_Model], default: bytes = b"{}"
) -> tuple[bytes, _Model]:
    """Read a form with an image in the part ``image`` and JSON in another part.

    Raises
    ------
    ServeError
        ``bad_request``, if the form is damaged, has other parts or no image, or the JSON does not
        fit the model.
    """
    try:
        async with request.form(max_files=1, max_fields=2) as form:
            unknown = set(form) - {"image", part}
            image, text = form.get("image"), form.get(part)
            if unknown or not isinstance(image, UploadFile) or isinstance(text, UploadFile):
                raise ServeError(
                    "bad_request",
                    f"A form must have a file image and a text {part}, got "
                    f"{', '.join(sorted(name[:40] for name in form)) or 'nothing'}.",
                    _CURE,
                )
            encoded = await image.read()
    except (HTTPException, MultiPartException):
        raise ServeError("bad_request", "The form must be whole, it is damaged.", _CURE) from None
    return encoded, _parsed(default if text is None else text.encode(), model)


def _parsed(text: bytes, model: type[_Model]) -> _Model:
    try:
        return model.model_validate_json(text or b"null")
    except ValidationError as cause:
        raise ServeError("bad_request", problem_of(list(cause.errors())), _CURE) from None


def problem_of(errors: list[Any]) -> str:
    """Return the first problems of a request in words; values of the client are left out."""
    parts = []
    for one in errors[:_MOST_PROBLEMS]:
        place = ".".join(str(part)[:40] for part in one["loc"]) or "body"
        parts.append(f"{place}: {one['msg'][:120]}")
    more = f" ({len(errors) - _MOST_PROBLEMS} more)" if len(errors) > _MOST_PROBLEMS else ""
    return f"The request must fit the API, got {'; '.join(parts)}{more}."


def request_body(
    json_model: type[BaseModel] | None, image_part: str = "", image_model: str = ""
) -> dict[str, Any]:
    """Return the OpenAPI description of a body.

    Parameters
    ----------
    json_model : type of BaseModel, optional
        Of a JSON body.
    image_part : str
        Name of the part beside the image, where a form is possible.
    image_model : str
        Name of its model.
    """
    content: dict[str, Any] = {}
    if json_model is not None:
        reference = {"$ref": f"#/components/schemas/{json_model.__name__}"}
        content["application/json"] = {"schema": reference}
    if image_part:
        content["multipart/form-data"] = {
            "schema": {
                "type": "object",
                "properties": {
                    "image": {
                        "type": "string",
                        "format": "binary",
                        "description": "JPEG, PNG, WebP, GIF or BMP.",
                    },
                    image_part: {"$ref": f"#/components/schemas/{image_model}"},
                },
                "required": ["image"],
                "additionalProperties": False,
            },
            "encoding": {image_part: {"contentType": "application/json"}},
        }
    return {"requestBody": {"required": True, "content": content}}
