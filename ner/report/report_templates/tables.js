// Makes every table.grid sortable, and pages and filters it by what its heads say: data-filter="text|number|list".
const code = Uint8Array.from(atob(document.getElementById("datatables").textContent), (c) => c.charCodeAt(0));
const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
const { ITable, set_or_remove_dark_class } = await import(address);
URL.revokeObjectURL(address);
set_or_remove_dark_class();

const FILTERS = {
  text: ["search"],
  number: ["search"],
  list: [{ extend: "dropdown", icon: "search", text: "choose", content: [{ extend: "searchList", title: "" }] }],
};

for (const table of document.querySelectorAll("table.grid")) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const size = Number(table.dataset.page || 0);
  const paged = size > 0 && table.tBodies[0].rows.length > size;
  const filtered = heads.some((head) => head.dataset.filter);
  const columns = heads.map((head, index) => ({
    targets: index,
    type: head.classList.contains("number") ? "num" : "html",
    className: head.classList.contains("number") ? "dt-type-numeric" : "",
    orderable: !head.classList.contains("fixed"),
    columnControl: filtered ? [{ target: 1, content: FILTERS[head.dataset.filter] || [] }] : [],
  }));
  new ITable(table, {
    columnDefs: columns,
    order: [],
    autoWidth: false,
    paging: paged,
    pageLength: size || 25,
    lengthMenu: [10, 25, 100, 500],
    searching: filtered || paged,
    layout: {
      topStart: filtered ? { buttons: [{ extend: "ccSearchClear", text: "Clear filters" }] } : null,
      topEnd: filtered || paged ? "search" : null,
      bottomStart: filtered || paged ? (paged ? ["pageLength", "info"] : "info") : null,
      bottomEnd: paged ? "paging" : null,
    },
    language: {
      search: "Search all columns",
      info: "_START_ to _END_ of _TOTAL_",
      infoEmpty: "none",
      infoFiltered: "(of _MAX_ in all)",
      lengthMenu: "_MENU_ rows a page",
      emptyTable: "There are none.",
      zeroRecords: "No row matches the filters.",
    },
  });
  table.classList.add("ready");
}
document.documentElement.dataset.tables = "ready";
